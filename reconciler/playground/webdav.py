"""The WebDAV server's process: serve one folder on the loopback interface, without authentication."""

from __future__ import annotations

import sys


def serve(root: str, port: int) -> None:
    """Serve a folder on a port of 127.0.0.1, until killed."""
    from cheroot import wsgi
    from wsgidav.wsgidav_app import WsgiDAVApp

    application = WsgiDAVApp(
        {
            "provider_mapping": {"/": root},
            "simple_dc": {"user_mapping": {"*": True}},
            "hotfixes": {"re_encode_path_info": True},
            "lock_storage": False,
            "logging": {"enable": False},
            "verbose": 1,
        }
    )
    wsgi.Server(("127.0.0.1", port), application, numthreads=16).start()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
