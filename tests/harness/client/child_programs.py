"""Programs that `vaultr run` starts."""

# Prints when it has started, then each signal that it receives; exits with 7 on TERM.
SIGNAL_PRINTER = """
import os, signal, sys, time
def report(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b"\\n")
    if number == signal.SIGTERM: sys.exit(7)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGUSR1):
    signal.signal(number, report)
os.write(1, b"there\\n")
while True: time.sleep(0.05)
"""
