"""SSH to a machine: wait for its server, log in, run commands; nobody else imports paramiko."""

from harness.ssh.connection import Connection as Connection
from harness.ssh.connection import connect as connect
