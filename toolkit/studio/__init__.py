"""Label Studio: a schema as a labelling page, documents pushed, annotations pulled, a local server.

The only room that knows Label Studio, its SDK and its formats. Inside, in this order: `page` and
`results` (our values to Label Studio's and back), `arms` (who sees no suggestions), `dealing` (who reads
what), `lock` (one at a time), `wire` and `client` (requests and what they ask), `database` (where a
local server's data lie), `server` (a local one), `people` (its users), `journal`, `planning` and
`pushing` (documents there), `submitting` (readings handed in by program), `history` and `pulling`
(annotations back), `exports` (anybody's), `backend` (a model that suggests).
"""

from toolkit.studio.arms import by_lot, in_control
from toolkit.studio.backend import Serving, ml_backend, serving
from toolkit.studio.client import Studio, connect
from toolkit.studio.dealing import deal
from toolkit.studio.exports import Columns, columns
from toolkit.studio.history import History, verify
from toolkit.studio.people import Person, invite, is_pseudonym, pseudonyms, secret
from toolkit.studio.planning import REVIEWS, find
from toolkit.studio.pulling import Pulled, pull, read
from toolkit.studio.pushing import Pushed, push
from toolkit.studio.server import Server, start, status, stop
from toolkit.studio.submitting import submit

__all__ = [
    "REVIEWS",
    "Columns",
    "History",
    "Person",
    "Pulled",
    "Pushed",
    "Server",
    "Serving",
    "Studio",
    "by_lot",
    "columns",
    "connect",
    "deal",
    "find",
    "in_control",
    "invite",
    "is_pseudonym",
    "ml_backend",
    "pseudonyms",
    "pull",
    "push",
    "read",
    "secret",
    "serving",
    "start",
    "status",
    "stop",
    "submit",
    "verify",
]
