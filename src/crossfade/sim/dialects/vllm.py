"""The chat body as vLLM speaks it: OpenAI's, with thoughts shown and fields of its own."""

from __future__ import annotations

from typing import Any

from crossfade.sim.dialects.chat import ChunkEncoder, encode_completion
from crossfade.sim.endpoints.answer import PartKind, Stop
from crossfade.sim.endpoints.generation import Generation, Piece


def encode_vllm(generation: Generation, chat_id: str, model: str) -> dict[str, Any]:
    """The whole answer."""
    document = encode_completion(generation, chat_id, model)
    (choice,) = document["choices"]
    parts = () if generation.stop is Stop.FILTERED else generation.answer.parts
    thoughts = "".join(part.text for part in parts if part.kind is PartKind.THOUGHT)
    choice["message"] |= {"reasoning_content": thoughts or None, "audio": None, "function_call": None}
    choice["stop_reason"] = generation.ask.stop_sequences[0] if generation.stop is Stop.SEQUENCE else None
    usage = {key: count for key, count in document["usage"].items() if not key.endswith("details")}
    usage["prompt_tokens_details"] = None
    del document["service_tier"], document["system_fingerprint"]
    return {**document, "usage": usage, "prompt_logprobs": None, "kv_transfer_params": None}


class VllmEncoder(ChunkEncoder):
    """The server-sent events of one streamed answer."""

    def piece(self, piece: Piece) -> bytes:
        """One piece of the answer; thoughts are shown."""
        if piece.part.kind is PartKind.THOUGHT:
            return self._chunk({"reasoning_content": piece.text}, None)
        return super().piece(piece)
