std = 'luajit'
cache = false
max_line_length = 120
max_cyclomatic_complexity = 15
files['spec'] = { std = 'luajit+busted' }
files['policies/tests'] = { std = 'luajit+busted' }
files['examples/*/*_test.lua'] = { std = 'luajit+busted' }
