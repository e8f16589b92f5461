# SPDX-License-Identifier: Apache-2.0
# Starts a program TIMES times, one run after the other, with listening sockets as systemd passes them
# (sd_listen_fds(3)):
#   perl activation.pl TIMES NAME,HOST,PORT|NAME,PATH ... -- PROGRAM ARGUMENTS
# SIGTERM goes to the program. Ends with the exit code of the last one.
use strict;
use warnings;
use POSIX ();
use Socket;

$| = 1;
my ($times, @sockets, @names) = (shift);
while ((my $spec = shift) ne '--') {
  my ($name, $where, $port) = split /,/, $spec;
  socket(my $socket, $port ? AF_INET : AF_UNIX, SOCK_STREAM, 0) or die $!;
  setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1);
  bind($socket, $port ? sockaddr_in($port, inet_aton($where)) : sockaddr_un($where)) or die "$spec: $!";
  listen($socket, 64) if $name ne 'deaf';
  push @sockets, $socket;
  push @names, $name;
  POSIX::dup2(fileno $socket, 50 + $#sockets);
}
my $pid;
$SIG{TERM} = sub { kill TERM => $pid if $pid; };
for (1 .. $times) {
  $pid = fork;
  if (!$pid) {
    POSIX::dup2(50 + $_, 3 + $_) for 0 .. $#sockets;
    POSIX::close(50 + $_) for 0 .. $#sockets;
    $ENV{LISTEN_PID} = $$;
    $ENV{LISTEN_FDS} = @sockets;
    $ENV{LISTEN_FDNAMES} = join ':', @names;
    exec @ARGV or die $!;
  }
  print "started $pid\n";
  1 until waitpid($pid, 0) == $pid;
}
exit($? & 127 ? 128 + ($? & 127) : $? >> 8);
