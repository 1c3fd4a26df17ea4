"""See arzip/context_mixing/lane_history.py: what a lane remembers of the bytes it has seen; the record length."""

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
    KEY,
    LINE,
    LINE1,
    LINE_WORD,
    OLDER,
    RECENT,
    STEP,
    VOTES,
    WORD,
    WORD1,
    WORD2,
)
from arzip.context_mixing.torch_ops.state import Crew
from arzip.context_mixing.torch_ops.uint64 import mix


def follow(crew: Crew, byte: Tensor) -> None:
    """Remember that `byte` (L,), the newest of RECENT, has followed the byte and the two bytes before it."""
    before = crew.lane[:, RECENT] >> 8 & 0xFFFF
    at = torch.stack([before & 255, 256 + before], 1)
    crew.followers.scatter_(1, at, (crew.followers.gather(1, at) << 8 | byte[:, None].int()) & 0xFFFFFF)


def push_field(crew: Crew, byte: Tensor, place: Tensor) -> None:
    """Follow the fields of a line: number, text so far, the last name before one of =:> and the line's first."""
    lane, newline = crew.lane, byte == 10
    names = (byte == 58) | (byte == 61) | (byte == 62)
    lane[:, KEY] = torch.where(names, lane[:, WORD1], lane[:, KEY])
    ends = newline | (crew.is_separator[byte] > 0)
    named = lane[:, LINE_WORD].where(lane[:, LINE_WORD] != 0, lane[:, FIELD_HASH])
    lane[:, LINE_WORD] = torch.where(ends, named * ~newline, lane[:, LINE_WORD])
    lane[:, FIELD_HASH] = torch.where(ends, 0, mix(lane[:, FIELD_HASH], byte + 1))
    following = (lane[:, FIELD] + 1).clamp(max=FIELDS - 1) * ~newline
    lane[:, FIELD] = torch.where(ends, following, lane[:, FIELD])
    lane[:, FIELD_START] = torch.where(ends, place + 1, lane[:, FIELD_START])
    now = crew.fields[:, 1]
    crew.fields[:, 0] = torch.where(newline[:, None], now, crew.fields[:, 0])
    now = now * ~newline[:, None]
    at = lane[:, FIELD, None]
    crew.fields[:, 1] = now.scatter(1, at, torch.where(ends[:, None], (place + 1)[:, None], now.gather(1, at)))


def push_byte(crew: Crew, byte: Tensor) -> None:
    """Update the lanes' fields with the bytes (L,) they have just seen, at their places `clock[STEP]`."""
    place = crew.starts + crew.clock[STEP]
    lane = crew.lane
    lane[:, OLDER] = lane[:, OLDER] << 8 | (lane[:, RECENT] >> 56 & 255)
    lane[:, RECENT] = lane[:, RECENT] << 8 | byte
    lane[:, CLASSES] = (lane[:, CLASSES] << 3 | crew.class_of_byte[byte]) & 0o777777
    lower = byte + 32 * ((byte >= 65) & (byte <= 90))
    inside = (lower >= 97) & (lower <= 122) | (byte >= 128)
    ends = ~inside & (lane[:, WORD] != 0)
    lane[:, WORD2] = torch.where(ends, lane[:, WORD1], lane[:, WORD2])
    lane[:, WORD1] = torch.where(ends, lane[:, WORD], lane[:, WORD1])
    lane[:, WORD] = torch.where(inside, mix(lane[:, WORD], lower + 1), 0)
    if crew.followers.shape[1]:
        follow(crew, byte)
    if crew.fields.shape[2]:
        push_field(crew, byte, place)
    newline = byte == 10
    lane[:, LINE1] = torch.where(newline, lane[:, LINE], lane[:, LINE1])
    lane[:, LINE] = torch.where(newline, place + 1, lane[:, LINE])
    lane[:, FIRST] = torch.where(newline | (place == lane[:, LINE]), byte, lane[:, FIRST])
    # the distance to the last occurrence, twice the same: a vote for a record of that length
    at = byte[:, None, None].expand(-1, 1, 2)
    seen = crew.last_seen.gather(1, at)[:, 0]
    distance = place + 1 - seen[:, 0]
    vote = (seen[:, 0] > 0) & (distance == seen[:, 1]) & (distance > 1) & (distance < VOTES)
    crew.votes.index_add_(0, distance * vote, vote.long())
    crew.last_seen.scatter_(1, at, torch.stack([place + 1, distance], 1)[:, None])


def choose_rows(crew: Crew) -> None:
    """Every 256 steps: the two record lengths with most votes, weighted by length; a quarter of the votes goes."""
    if crew.clock[STEP] & 255:
        return
    d = torch.arange(VOTES, device=crew.votes.device)
    score = crew.votes * (d.clamp(max=64) + 8)
    best = (score * VOTES + (VOTES - 1 - d)).topk(2).values  # of equal scores the shorter length
    chosen = VOTES - 1 - best % VOTES
    crew.rows.copy_(torch.where(best // VOTES > 600, chosen, crew.rows))
    crew.votes.sub_(crew.votes >> 2)
