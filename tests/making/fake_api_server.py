"""As much of an API server of Kubernetes as kubectl asks for jobs and their pods, on this computer alone, in memory."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERBS = ["create", "delete", "get", "list", "watch"]
GROUPS = {
    "kind": "APIGroupList",
    "groups": [
        {
            "name": "batch",
            "versions": [{"groupVersion": "batch/v1", "version": "v1"}],
            "preferredVersion": {"groupVersion": "batch/v1", "version": "v1"},
        }
    ],
}


def resources(group, *rows):
    listed = [
        {"name": name, "singularName": "", "kind": kind, "namespaced": True, "verbs": VERBS}
        for name, kind in rows
    ]
    return {"kind": "APIResourceList", "groupVersion": group, "resources": listed}


FIXED = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": GROUPS,
    "/api/v1": resources("v1", ("pods", "Pod"), ("pods/log", "Pod")),
    "/apis/batch/v1": resources("batch/v1", ("jobs", "Job")),
    # By which kubectl learns that the server itself refuses fields that it does not know.
    "/openapi/v3": {"paths": {"apis/batch/v1": {"serverRelativeURL": "/openapi/v3/apis/batch/v1"}}},
    "/openapi/v3/apis/batch/v1": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1"},
        "paths": {
            "/apis/batch/v1/namespaces/{namespace}/jobs/{name}": {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "x-kubernetes-group-version-kind": {"group": "batch", "version": "v1", "kind": "Job"},
                    "responses": {},
                }
            }
        },
    },
    "/version": {"major": "1", "minor": "32", "gitVersion": "v1.32.0"},
}


class ApiServer(ThreadingHTTPServer):
    """Jobs by namespace and name; `asked` holds every request as (method, path, query)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.jobs, self.log, self.asked, self.forbidden = {}, "", [], False


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _ = self._asked()
        parts = path.split("/")
        if path in FIXED:
            self._answer(200, FIXED[path])
        elif path.endswith("/pods"):
            pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "worker", "namespace": parts[4]}}
            pod["spec"] = {"containers": [{"name": "worker"}]}
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]})
        elif path.endswith("/log"):
            self._answer(200, self.server.log)
        elif path.endswith("/jobs"):
            self._answer(200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": []})
        elif job := self.server.jobs.get((parts[5], parts[-1]) if "jobs" in parts else None):
            self._answer(200, job)
        else:
            self._refuse(404, "NotFound", f'"{parts[-1]}" not found')

    def do_POST(self):
        path, query = self._asked()
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.forbidden:
            self._refuse(403, "Forbidden", 'jobs.batch is forbidden: User "me" cannot create resource "jobs"')
            return
        assert query["fieldValidation"] == ["Strict"]
        key = (path.split("/")[5], job["metadata"]["name"])
        if key in self.server.jobs:
            self._refuse(409, "AlreadyExists", f'jobs.batch "{key[1]}" already exists')
            return
        job["metadata"] |= {"uid": "1", "namespace": key[0]}
        self.server.jobs[key] = job
        self._answer(201, job)

    def do_DELETE(self):
        path, _ = self._asked()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = path.split("/")
        job = self.server.jobs.pop((parts[5], parts[-1]), None)
        if job is None:
            self._refuse(404, "NotFound", "not found")
        else:
            self._answer(
                200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"uid": "1"}}
            )

    def _asked(self):
        url = urlsplit(self.path)
        self.server.asked.append((self.command, url.path, parse_qs(url.query)))
        return url.path, parse_qs(url.query)

    def _refuse(self, code, reason, message):
        kind = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self._answer(code, kind | {"code": code, "reason": reason, "message": message})

    def _answer(self, code, body):
        text = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@contextmanager
def api_server(folder):
    """A server, and the path of a configuration by which kubectl speaks to it."""
    server = ApiServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = folder / "kubeconfig"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n"
        f"clusters: [{{name: test, cluster: {{server: 'http://127.0.0.1:{server.server_port}'}}}}]\n"
        "contexts: [{name: test, context: {cluster: test, user: test}}]\n"
        "users: [{name: test, user: {}}]\n"
    )
    try:
        yield server, config
    finally:
        server.shutdown()
        server.server_close()
