"""botocore's exceptions as ours: the one place that knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import ConfigurationError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "SpotMaxPriceTooLow",
        "Unsupported",  # the type is not offered in that zone
    }
)
"""What another subnet or another type may not suffer from."""
_PERMISSION = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "Client.UnauthorizedOperation",
    }
)
_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_CREDENTIALS_WAY_OUT = (
    "give access_key and secret_key, profile or assume_role, or have any of boto3's own places "
    "hold credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, ~/.aws/config, an instance's role)"
)
_SERVER_ERROR = 500


class ApiError(SourceError):
    """A call of the API that failed.

    ``code`` is the API's word for it; empty: there was no answer.
    """

    def __init__(self, message: str, *, operation: str, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.operation = operation
        self.code = code
        self._status = status

    @property
    def is_throttling(self) -> bool:
        return self.code in THROTTLING

    @property
    def is_lack_of_capacity(self) -> bool:
        return self.code in CAPACITY

    @property
    def is_lack_of_permission(self) -> bool:
        return self.code in _PERMISSION

    @property
    def is_not_found(self) -> bool:
        """The thing is not there: not yet, or no more."""
        return self.code.endswith(("NotFound", "NotFoundException", ".Unavailable"))

    @property
    def is_transient(self) -> bool:
        """Whether the same call may well succeed a moment later: throttled, a fault of the
        server's, or an answer that never came.
        """
        if self.is_lack_of_capacity:  # which comes with status 500
            return False
        return self.is_throttling or not self.code or self._status >= _SERVER_ERROR


def translated(error: Exception, operation: str, region: str) -> Exception:
    """Ours for one of botocore's; any other comes back as it is.

    Args:
        error: what was raised.
        operation: the API's name of the call: ``ec2:RunInstances``.
        region: where.
    """
    from botocore import exceptions

    where = f"{operation} in {region}"
    if isinstance(error, exceptions.ClientError):
        return _answered(error.response, operation, where)
    if isinstance(error, exceptions.ParamValidationError):
        return ConfigurationError(f"{where}: {error}")
    if isinstance(
        error,
        exceptions.NoCredentialsError
        | exceptions.PartialCredentialsError
        | exceptions.CredentialRetrievalError
        | exceptions.ProfileNotFound
        | exceptions.TokenRetrievalError
        | exceptions.SSOError,
    ):
        return ConfigurationError(f"no credentials for Amazon: {error}; {_CREDENTIALS_WAY_OUT}")
    if isinstance(error, exceptions.HTTPClientError):  # also a parser's error on half an answer
        return ApiError(f"{where}: no answer: {error}", operation=operation)
    if isinstance(error, exceptions.BotoCoreError | ValueError):
        return ConfigurationError(f"{where}: {error}")
    return error


def _answered(response: Mapping[str, Any], operation: str, where: str) -> Exception:
    told, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, text = str(told.get("Code", "")), told.get("Message", "")
    request = about.get("RequestId") or response.get("RequestId") or "none"
    message = f"{where}: {code}: {text} (request {request})"
    if code in _CREDENTIALS:
        return ConfigurationError(f"{message}; {_CREDENTIALS_WAY_OUT}")
    if code in _PERMISSION:
        message += f"; whoever builds needs the permission {operation}"
    return ApiError(
        message, operation=operation, code=code, status=int(about.get("HTTPStatusCode", 0))
    )
