"""What may be wrong with a server that speaks S3, told apart by what somebody can do about it."""

import logging
from enum import StrEnum

log = logging.getLogger(__name__)


class Trouble(StrEnum):
    """What went wrong, and what an operator does about it."""

    away = "does not answer: check S3_ENDPOINT_URL and the network"
    denied = "refuses us: check S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY and what they may do"
    unsigned = "needs credentials: set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"
    no_bucket = "is not there: create the bucket, or correct its name and S3_REGION"
    no_object = "has no such object"
    region = "is in another region: correct S3_REGION"
    clock = "says that our clock is wrong: set the time of this machine"
    full = "has no room left: free some space, or raise the quota of the bucket"
    changed = "has another version of the object by now"
    unknown = "refuses the call: see the log for its code"


PASSING = frozenset({Trouble.away})
CODES = {
    "NoSuchBucket": Trouble.no_bucket,
    "InvalidBucketName": Trouble.no_bucket,
    "PermanentRedirect": Trouble.region,
    "AuthorizationHeaderMalformed": Trouble.region,
    "RequestTimeTooSkewed": Trouble.clock,
    "NoSuchKey": Trouble.no_object,
    "NoSuchVersion": Trouble.no_object,
    "PreconditionFailed": Trouble.changed,
    "QuotaExceeded": Trouble.full,
    "XMinioAdminBucketQuotaExceeded": Trouble.full,
    "XMinioStorageFull": Trouble.full,
    "InvalidAccessKeyId": Trouble.denied,
    "SignatureDoesNotMatch": Trouble.denied,
    "ExpiredToken": Trouble.denied,
    "InvalidToken": Trouble.denied,
    "SlowDown": Trouble.away,
    "RequestTimeout": Trouble.away,
    "Throttling": Trouble.away,
    "BadDigest": Trouble.away,  # Bent on the way: to be sent again.
}
STATUSES = {
    401: Trouble.denied,
    403: Trouble.denied,
    404: Trouble.no_object,
    412: Trouble.changed,
    429: Trouble.away,
    507: Trouble.full,
}


class S3Error(Exception):
    def __init__(self, trouble: Trouble, code: str) -> None:
        super().__init__(f"{trouble} ({code})")
        self.trouble = trouble
        self.code = code


def fault_of(error: Exception) -> S3Error:
    from botocore import exceptions as botocore  # type: ignore[import-untyped] # noqa: PLC0415

    if isinstance(error, botocore.ClientError):
        answer = error.response
        code = str(answer.get("Error", {}).get("Code", ""))
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return S3Error(trouble_of(code, status), code or str(status))
    if isinstance(error, (botocore.NoCredentialsError, botocore.PartialCredentialsError)):
        return S3Error(Trouble.unsigned, "no credentials")
    if is_outage(error):
        return S3Error(Trouble.away, type(error).__name__)
    log.error("a call to S3 failed in an unknown way: %s", type(error).__name__)
    return S3Error(Trouble.unknown, type(error).__name__)


def trouble_of(code: str, status: int) -> Trouble:
    known = CODES.get(code) or STATUSES.get(status)
    if known is None:
        return Trouble.away if status >= 500 and status != 501 else Trouble.unknown
    return known


def is_outage(error: Exception) -> bool:
    import aiohttp  # noqa: PLC0415 - comes with the extra
    from botocore import exceptions as botocore  # noqa: PLC0415

    return isinstance(
        error,
        (
            botocore.ConnectionError,
            botocore.HTTPClientError,
            botocore.IncompleteReadError,
            botocore.ResponseStreamingError,
            botocore.CredentialRetrievalError,
            aiohttp.ClientError,
            OSError,  # TimeoutError too
        ),
    )
