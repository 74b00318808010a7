"""Label Studio: a schema as a labelling page, documents pushed, annotations pulled, a local server.

The only room that knows Label Studio, its SDK and its formats. Inside, in this order: `page` and
`results` (our values to Label Studio's and back), `arms` (who sees no suggestions), `lock` (one at a
time), `client` (the wire), `server` (a local one), `people` (its users), `sync` (push and pull),
`backend` (a model that suggests).
"""

from toolkit.studio.arms import in_control
from toolkit.studio.backend import Serving, ml_backend, serving
from toolkit.studio.client import Studio, connect
from toolkit.studio.people import Person, invite, pseudonyms
from toolkit.studio.server import Server, start, status, stop
from toolkit.studio.sync import Pulled, Pushed, pull, push, submit

__all__ = [
    "Person",
    "Pulled",
    "Pushed",
    "Server",
    "Serving",
    "Studio",
    "connect",
    "in_control",
    "invite",
    "ml_backend",
    "pseudonyms",
    "pull",
    "push",
    "serving",
    "start",
    "status",
    "stop",
    "submit",
]
