"""Label Studio: a schema as a labelling page, documents pushed, annotations pulled, a local server.

The only room that knows Label Studio, its SDK and its formats. Inside, in this order: `page` and
`results` (our values to Label Studio's and back), `lock` (one at a time), `client` (the wire),
`database` (where a local server's data lie), `server` (a local one), `people` (its users), `sync`
(push and pull).
"""

from toolkit.studio.client import Studio, connect
from toolkit.studio.people import Person, invite, pseudonyms
from toolkit.studio.server import Server, start, status, stop
from toolkit.studio.sync import Pulled, Pushed, pull, push, submit

__all__ = [
    "Person",
    "Pulled",
    "Pushed",
    "Server",
    "Studio",
    "connect",
    "invite",
    "pseudonyms",
    "pull",
    "push",
    "start",
    "status",
    "stop",
    "submit",
]
