"""The lanes' history and the record length; see arzip/context_mixing/lane_history.py."""

from __future__ import annotations

import torch
from torch import Tensor

from arzip.context_mixing.state import (
    CLASSES,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIELDS,
    FIRST,
    FIRST_FIELD,
    KEY,
    LENGTH_VOTES,
    LINE,
    LINE1,
    OLDER,
    RECENT,
    STEP,
    WORD,
    WORD1,
    WORD2,
)
from arzip.context_mixing.torch_ops.state import LaneGroup
from arzip.context_mixing.torch_ops.uint64 import hash_pair


def update_indirect(group: LaneGroup, byte: Tensor) -> None:
    """Append `byte` (L,), the newest of RECENT, to the histories of the one-byte and two-byte contexts before it."""
    before = group.lane[:, RECENT] >> 8 & 0xFFFF
    at = torch.stack([before & 255, 256 + before], 1)
    group.indirect.scatter_(1, at, (group.indirect.gather(1, at) << 8 | byte[:, None].int()) & 0xFFFFFF)


def push_field(group: LaneGroup, byte: Tensor, position: Tensor) -> None:
    """Update the fields of a line: number, start, hash; KEY, the last word before =, : or >; FIRST_FIELD."""
    lane, newline = group.lane, byte == 10
    names = (byte == 58) | (byte == 61) | (byte == 62)
    lane[:, KEY] = torch.where(names, lane[:, WORD1], lane[:, KEY])
    ends = newline | (group.is_separator[byte] > 0)
    named = lane[:, FIRST_FIELD].where(lane[:, FIRST_FIELD] != 0, lane[:, FIELD_HASH])
    lane[:, FIRST_FIELD] = torch.where(ends, named * ~newline, lane[:, FIRST_FIELD])
    lane[:, FIELD_HASH] = torch.where(ends, 0, hash_pair(lane[:, FIELD_HASH], byte + 1))
    following = (lane[:, FIELD] + 1).clamp(max=FIELDS - 1) * ~newline
    lane[:, FIELD] = torch.where(ends, following, lane[:, FIELD])
    lane[:, FIELD_START] = torch.where(ends, position + 1, lane[:, FIELD_START])
    now = group.fields[:, 1]
    group.fields[:, 0] = torch.where(newline[:, None], now, group.fields[:, 0])
    now = now * ~newline[:, None]
    at = lane[:, FIELD, None]
    group.fields[:, 1] = now.scatter(1, at, torch.where(ends[:, None], (position + 1)[:, None], now.gather(1, at)))


def push_byte(group: LaneGroup, byte: Tensor) -> None:
    """Append the bytes (L,), which stand at the lanes' byte `clock[STEP]`, to the lanes' history."""
    position = group.starts + group.clock[STEP]
    lane = group.lane
    lane[:, OLDER] = lane[:, OLDER] << 8 | (lane[:, RECENT] >> 56 & 255)
    lane[:, RECENT] = lane[:, RECENT] << 8 | byte
    lane[:, CLASSES] = (lane[:, CLASSES] << 3 | group.class_of_byte[byte]) & 0o777777
    lower = byte + 32 * ((byte >= 65) & (byte <= 90))
    inside = (lower >= 97) & (lower <= 122) | (byte >= 128)
    ends = ~inside & (lane[:, WORD] != 0)
    lane[:, WORD2] = torch.where(ends, lane[:, WORD1], lane[:, WORD2])
    lane[:, WORD1] = torch.where(ends, lane[:, WORD], lane[:, WORD1])
    lane[:, WORD] = torch.where(inside, hash_pair(lane[:, WORD], lower + 1), 0)
    if group.indirect.shape[1]:
        update_indirect(group, byte)
    if group.fields.shape[2]:
        push_field(group, byte, position)
    newline = byte == 10
    lane[:, LINE1] = torch.where(newline, lane[:, LINE], lane[:, LINE1])
    lane[:, LINE] = torch.where(newline, position + 1, lane[:, LINE])
    lane[:, FIRST] = torch.where(newline | (position == lane[:, LINE]), byte, lane[:, FIRST])
    # a byte that recurs twice at the same distance votes for that record length
    at = byte[:, None, None].expand(-1, 1, 2)
    seen = group.last_seen.gather(1, at)[:, 0]
    distance = position + 1 - seen[:, 0]
    vote = (seen[:, 0] > 0) & (distance == seen[:, 1]) & (distance > 1) & (distance < LENGTH_VOTES)
    group.length_votes.index_add_(0, distance * vote, vote.long())
    group.last_seen.scatter_(1, at, torch.stack([position + 1, distance], 1)[:, None])


def detect_record_length(group: LaneGroup) -> None:
    """Every 256 steps: set the two record lengths with the most votes, weighted by length; decay votes by a quarter."""
    if group.clock[STEP] & 255:
        return
    d = torch.arange(LENGTH_VOTES, device=group.length_votes.device)
    score = group.length_votes * (d.clamp(max=64) + 8)
    best = (score * LENGTH_VOTES + (LENGTH_VOTES - 1 - d)).topk(2).values  # of equal scores the shorter length
    chosen = LENGTH_VOTES - 1 - best % LENGTH_VOTES
    group.record_lengths.copy_(torch.where(best // LENGTH_VOTES > 600, chosen, group.record_lengths))
    group.length_votes.sub_(group.length_votes >> 2)
