"""What must not be shown: passwords in URLs."""

from __future__ import annotations

import re

SECRET = "<secret>"
_PASSWORD = re.compile(r"(?<=://)([^/?#@\s]*?):([^/?#\s]*)(?=@)")
_PARAMETER = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.-]*(?:password|passwd|secret|token|api_?key|access_?key|signature|credential)[a-z0-9_.-]*|pwd|sig|key)=)"
    r"[^&;#\s]*"
)


def redact_url(text: str) -> str:
    """Return a text in which the passwords of URLs, and parameters that sound like secrets, are left out.

    Example:
        >>> redact_url("postgresql://me:hunter2@db/shop?sslpassword=x&port=1")
        'postgresql://me:<secret>@db/shop?sslpassword=<secret>&port=1'
    """
    if "://" not in text:
        return text
    return _PARAMETER.sub(rf"\1{SECRET}", _PASSWORD.sub(rf"\1:{SECRET}", text))
