#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the certificates of the TLS tests in the folder $1: NAME.pem (the chain) and NAME.key.
set -eu
cd "$1"
exec 2>make.log

key() { # name [rsa bits]
  if [ $# -gt 1 ]; then openssl genrsa -out "$1.key" "$2"; else
    openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; fi
}

config() { # extensions
  cat <<END
[req]
distinguished_name = none
prompt = no
[none]
[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
policy = any
default_md = sha256
unique_subject = no
rand_serial = yes
[any]
commonName = supplied
[extensions]
basicConstraints = critical,CA:false
$1
END
}

authority() { # name subject issuer [rsa bits]
  if [ $# -gt 3 ]; then key "$1" "$4"; else key "$1"; fi
  printf 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n' >authority.ext
  if [ -n "$3" ]; then
    openssl req -new -key "$1.key" -subj "/CN=$2" -out request.csr
    openssl x509 -req -in request.csr -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days 3000 -sha256 \
      -extfile authority.ext -out "$1.pem"
  else
    openssl req -new -key "$1.key" -subj "/CN=$2" -out request.csr
    openssl x509 -req -in request.csr -signkey "$1.key" -days 3000 -sha256 -extfile authority.ext -out "$1.pem"
  fi
}

# name extensions [issuer] [digest] [rsa bits] [start end]
leaf() {
  if [ -n "${5:-}" ]; then key "$1" "$5"; else key "$1"; fi
  config "$2" >leaf.conf
  : >index.txt
  openssl req -new -key "$1.key" -subj "/CN=relay.test" -out request.csr
  openssl ca -batch -notext -config leaf.conf -extensions extensions -in request.csr -md "${4:-sha256}" \
    -cert "${3:-root}.pem" -keyfile "${3:-root}.key" \
    -startdate "${6:-20200101000000Z}" -enddate "${7:-20491231235959Z}" -out "$1.pem"
}

name='subjectAltName = DNS:relay.test'
authority root 'Test Root' ''
authority stranger 'Stranger Root' ''
authority middle 'Test Intermediate' root
authority rsaroot 'Test RSA Root' '' 2048

leaf good "$name"
leaf rsa "$name" root sha256 2048
leaf stored "$name" rsaroot
leaf weakmd5 "$name" rsaroot md5
leaf weaksha1 "$name" rsaroot sha1
leaf weaksha224 "$name" rsaroot sha224
leaf short "$name" root sha256 1024
leaf expired "$name" root sha256 '' 20200101000000Z 20210101000000Z
leaf future "$name" root sha256 '' 20480101000000Z 20490101000000Z
leaf other 'subjectAltName = DNS:other.test, DNS:relay.test.evil.test'
leaf unknown "$name" stranger
leaf missing "$name" middle
leaf chained "$name" middle
cat middle.pem >>chained.pem
leaf commonname ''
leaf wildcard 'subjectAltName = DNS:*.relay.test'
leaf top 'subjectAltName = DNS:*.test'
# relay.test NUL .evil.test
leaf nul 'subjectAltName = DER:30:17:82:15:72:65:6c:61:79:2e:74:65:73:74:00:2e:65:76:69:6c:2e:74:65:73:74'
leaf textaddress 'subjectAltName = DNS:127.0.0.1, DNS:localhost'
leaf address 'subjectAltName = IP:127.0.0.1, IP:::1'
leaf expiredaddress 'subjectAltName = IP:127.0.0.1' root sha256 '' 20200101000000Z 20210101000000Z
leaf soon 'subjectAltName = IP:127.0.0.1' root sha256 '' 20200101000000Z "$(date -u -d '+3 days' +%Y%m%d%H%M%SZ)"
leaf otheraddress 'subjectAltName = IP:127.0.0.2'
leaf client "$name
extendedKeyUsage = clientAuth"
leaf server "$name
extendedKeyUsage = serverAuth"

key self
config "$name" >leaf.conf
openssl req -new -x509 -key self.key -subj "/CN=relay.test" -days 3000 -config leaf.conf -extensions extensions -out self.pem
