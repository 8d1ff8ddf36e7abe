"""The demonstration: everything on one machine, with made-up people and a mail server that keeps every message.

people      makes the shipped data set (`manage.py create_demo_data`)
data        brings it into the database, through the same doors as anybody's data
catcher     the mail server: the only way out of the demonstration, and it leads nowhere
supervisor  starts the processes, notices when one dies, stops them all
story       analysis, sending and their tables, through the broker
command     `manage.py demo`: one after the other, saying what takes long and why
"""
