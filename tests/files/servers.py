"""The demo over a directory, and nginx."""

import process
from process import Process, free_port


class Demo(process.Demo):
    """The demo over a directory, with listings."""

    def __init__(self, arguments, directory):
        log = arguments.out / "demo.log"
        super().__init__(arguments.server, log, "--dir", directory, "--list")


NGINX = """
daemon off;
master_process off;
pid "{out}/nginx.pid";
error_log stderr crit;
events {{ worker_connections 256; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log off;
    client_body_temp_path "{out}/nginx-body";
    proxy_temp_path "{out}/nginx-proxy";
    fastcgi_temp_path "{out}/nginx-fastcgi";
    uwsgi_temp_path "{out}/nginx-uwsgi";
    scgi_temp_path "{out}/nginx-scgi";
    sendfile on;
    gzip_static on;
    gzip_http_version 1.0;
    gzip_vary on;
    if_modified_since before;
    autoindex on;
    server {{
        listen 127.0.0.1:{port};
        root "{root}";
    }}
}}
"""


class Nginx(Process):
    """Debian's nginx as one process with `root` as its root; `root/files` holds the files that the
    demo serves under /files/."""

    def __init__(self, arguments, root):
        self.address = ("127.0.0.1", free_port())
        configuration = arguments.out / "nginx.conf"
        text = NGINX.format(out=arguments.out, port=self.address[1], root=root)
        configuration.write_text(text)
        command = [arguments.nginx, "-p", arguments.out, "-e", "stderr", "-c", configuration]
        log = arguments.out / "nginx.log"
        log.unlink(missing_ok=True)
        super().__init__(command, log)
        self.listens(self.address)
