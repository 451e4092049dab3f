"""Where the real package keeps what its users pass in."""

from .llm import LLM, KvCacheConfig
from .result import CompletionOutput, RequestOutput
from .sampling import GuidedDecodingParams, SamplingParams

__all__ = ["LLM", "CompletionOutput", "GuidedDecodingParams", "KvCacheConfig", "RequestOutput", "SamplingParams"]
