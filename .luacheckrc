std = 'luajit'
cache = false
max_line_length = 120
files['spec'] = { std = 'luajit+busted' }
files['policies/tests'] = { std = 'luajit+busted' }
