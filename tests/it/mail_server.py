"""A real SMTP server for the tests: aiosmtpd, each message into a file. Arguments: FOLDER PORT_FILE."""
import os
import sys
import threading

from aiosmtpd.controller import Controller


class Keep:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0

    async def handle_DATA(self, server, session, envelope):
        self.count += 1
        path = os.path.join(self.folder, f"{self.count:06}")
        with open(path + ".tmp", "wb") as f:
            f.write(f"X-Rcpt: {','.join(envelope.rcpt_tos)}\r\n".encode() + envelope.content)
        os.rename(path + ".tmp", path + ".eml")
        return "250 kept"


class FreePort(Controller):
    def _trigger_server(self):
        # The base class connects to self.port to start the first session; with port 0 it must learn the real one.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


folder, port_file = sys.argv[1:3]
controller = FreePort(Keep(folder), hostname="127.0.0.1", port=0)
controller.start()
with open(port_file, "w") as f:
    f.write(f"{controller.port}\n")
threading.Event().wait()
