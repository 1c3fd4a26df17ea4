"""The faults that an adversary found (docs/TRUST.md), and how each mend is undone, to see its tests fail.

Nothing that is compiled is changed, so kernels stay valid. undo_mends.py undoes them; test_mends.py holds them to the
sources.
"""

from __future__ import annotations

from typing import NamedTuple


class Mend(NamedTuple):
    """A fault's number; what is so with its mend undone; a file, what in it is replaced by what, which tests then fail.

    tests: each file::name.
    """

    fault: str
    undoing: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def mend(fault: str, undoing: str, file: str, text: str, undone: str, *tests: str) -> Mend:
    """One whose undoing is one edit."""
    return Mend(fault, undoing, file, ((text, undone),), tests)


NEVER = "except ZeroDivisionError:"
CACHE, BOUNDS, CLI = "jit/test_kernel_cache.py", "weights/test_bounds.py", "cli/test_cli.py"
FILES, PROCESS, FORMAT = "system/test_files.py", "cli/test_process.py", "format/test_format.py"
REPEATS, MEMORY, SALVAGE = "preprocess/test_long_range.py", "test_memory.py", "format/test_salvage.py"

LIMITS = (
    mend(
        *("1", "any number of lanes", "arzip/format/records.py"),
        *("MAX_LANES, MAX_WIDE_LANES = 64, 256", "MAX_LANES, MAX_WIDE_LANES = 1 << 16, 1 << 16"),
        f"{MEMORY}::test_a_frame_of_many_lanes_is_refused",
    ),
    mend(
        *("1", "no tables in what list names", "arzip/memory.py"),
        *("    return tables + lanes * (LAST_SEEN_BYTES + indirect)", "    return 0"),
        f"{MEMORY}::test_no_more_is_taken_than_is_named[text-1]",
    ),
    mend(
        *("1", "any number of lanes, second decoder", "tests/reference/decoder/container.py"),
        *("MAX_LANES, MAX_WIDE_LANES = 64, 256", "MAX_LANES, MAX_WIDE_LANES = 1 << 16, 1 << 16"),
        "test_second_decoder.py::test_too_many_lanes_are_refused",
    ),
    mend(
        *("6", "no limit of the output", "arzip/codec/streams.py"),
        *("_within(stream.read_events(source), options.max_output)", "stream.read_events(source)"),
        f"{MEMORY}::test_output_ends_before_the_block_that_is_too_much",
    ),
    mend(
        *("6", "no limit of memory", "arzip/codec/decoder.py"),
        *("        if not self._memory_bytes:", "        if True:"),
        f"{MEMORY}::test_a_limit_that_is_too_low_refuses_before_it_allocates",
    ),
    mend(
        *("11f", "a list of tuples", "arzip/preprocess/long_range.py"),
        *("matches, at, done = MatchArray(), 0, 0", "matches, at, done = [], 0, 0"),
        f"{REPEATS}::test_a_list_of_many_matches_takes_a_few_bytes_for_each",
    ),
)
INSTALLATION = (
    mend(
        *("2", "a cache must have a place", "arzip/jit/numba_compiler.py", "    except RuntimeError:", f"    {NEVER}"),
        f"{CACHE}::test_without_a_place_for_a_cache_kernels_are_compiled_all_the_same",
    ),
    mend(
        *("2", "a cache must work", "arzip/jit/numba_compiler.py"),
        *("        with suppress(OSError):\n            yield", "        yield"),
        f"{CACHE}::test_a_cache_that_cannot_be_used_is_done_without",
    ),
    mend(
        *("2", "a user must be known", "arzip/system/user_dirs.py", "    except RuntimeError:", f"    {NEVER}"),
        f"{BOUNDS}::test_a_user_that_the_system_does_not_know_has_no_models",
    ),
    mend(
        *("2", "folders must be readable", "arzip/weights/registry.py"),
        *("with suppress(OSError):  # a folder that", "with suppress():  # a folder that"),
        f"{BOUNDS}::test_a_folder_that_may_not_be_read_has_no_models",
    ),
    mend(
        *("3", "an index must be whole", "arzip/jit/numba_compiler.py"),
        *("        except Exception:  # unpickling", f"        {NEVER}  # unpickling"),
        f"{CACHE}::test_damaged_cache_file_is_compiled_anew",
        "jit/test_compile.py::test_an_index_that_cannot_be_read_is_written_anew",
    ),
    mend(
        *("3", "an object file must be whole", "arzip/jit/numba_compiler.py"),
        *("        except Exception:\n            return None", f"        {NEVER}\n            return None"),
        f"{CACHE}::test_damaged_cache_file_is_compiled_anew",
    ),
    mend(
        *("11h", "kernels as plain Python", "arzip/jit/plain.py", "    if DISABLED:", "    if False:"),
        f"{PROCESS}::test_loops_that_may_not_be_compiled_are_one_line",
    ),
)
ARCHIVES = (
    mend(
        *("4", "any 0 is an end record", "arzip/format/salvage.py"),
        *("bool(ends.at(at) or _try_header", "bool(data[at] == END_HEAD or _try_header"),
        f"{SALVAGE}::test_a_lost_byte_costs_one_block_also_where_frames_begin_with_a_profile_byte_of_0",
    ),
    mend(
        *("4", "end records without a check", "arzip/format/records.py"),
        *(" or check != zlib.crc32(data[: lead + _END_CHECKED_BYTES])", ""),
        f"{SALVAGE}::test_an_end_record_is_one_only_if_all_of_it_is_right",
    ),
    mend(
        *("5", "one model is tried", "arzip/api/recovery.py"),
        *("in [self._preferred, *registry.paths()]:", "in [self._preferred]:"),
        "api/test_recovery.py::test_a_header_that_lost_a_bit_is_made_up_for_by_the_models_at_hand",
        "api/test_recovery.py::test_each_member_has_its_own_model",
    ),
    mend(
        *("11a", "end records of one block", "arzip/format/records.py", " or count < MIN_INDEXED", ""),
        f"{FORMAT}::test_an_end_record_of_fewer_than_two_blocks_is_refused",
    ),
    mend(
        *("11a", "lone blocks anywhere", "arzip/format/stream.py"),
        *("            if block.frame.single_block and frames:", "            if False:"),
        f"{FORMAT}::test_a_lone_block_after_others_is_refused",
    ),
    mend(
        *("11b", "another overhead", "docs/FORMAT.md"),
        *("A stored block: 18 to 21 bytes", "A stored block: 17 to 21 bytes"),
        f"{FORMAT}::test_overhead_is_what_the_specification_says",
    ),
    mend(
        *("11c", "blocks in any order", "arzip/format/stream.py"),
        *("elif event.content_check and event.content_check !=", "elif False and event.content_check !="),
        f"{FORMAT}::test_reordered_dropped_or_repeated_blocks_are_seen",
    ),
)
MODELS = (
    mend(
        *("7", "sums of any size", "arzip/weights/bounds.py"),
        *("    if config.d * residual_limit(config, tensors) ** 2 >= SQUARES_LIMIT:", "    if False:"),
        f"{BOUNDS}::test_sums_that_do_not_fit_into_64_bits_are_refused",
    ),
    mend(
        *("7", "tables of any numbers", "arzip/weights/bounds.py"),
        *("        if tensors[name].min() < low or tensors[name].max() > high:", "        if False:"),
        f"{BOUNDS}::test_tables_are_bounded",
    ),
    mend(
        *("8", "anything that a model says of itself", "arzip/weights/head.py"),
        *("value if isinstance(value, str) else json.dumps(value) for", "value for"),
        f"{BOUNDS}::test_models_shows_the_good_ones_beside_all_others",
        f"{BOUNDS}::test_what_a_model_says_of_itself_is_text",
    ),
    mend(
        *("8", "control characters", "arzip/cli/messages.py"),
        *('c if c.isprintable() else c.encode("unicode_escape").decode() for c', "c for c"),
        f"{BOUNDS}::test_models_shows_the_good_ones_beside_all_others",
    ),
    mend(
        *("8", "hints must be an object", "arzip/weights/registry.py"),
        *("found.items() if isinstance(found, dict) else ()", "found.items()"),
        f"{BOUNDS}::test_hints_of_any_kind_are_only_hints",
    ),
    mend(
        *("8", "JSON of any depth", "arzip/weights/head.py", "    except RecursionError as", f"    {NEVER[:-1]} as"),
        f"{BOUNDS}::test_a_head_that_is_none_is_refused_by_all_who_read_it",
    ),
    mend(
        *("11e", "unpacked before it is looked at", "arzip/weights/head.py"),
        *("    read(head.file_bytes - len(unpacked))", "    read(1 << 40)"),
        f"{BOUNDS}::test_a_packed_bomb_is_refused_before_it_takes_memory",
    ),
    mend(
        *("11e", "files of any size", "arzip/system/files.py"),
        *("    elif status.st_size > max_bytes:", "    elif False:"),
        f"{BOUNDS}::test_a_file_that_is_too_large_is_not_read",
    ),
)
PROCESSES = (
    mend(
        *("9", "devices are outputs like others", "arzip/cli/fileio.py"),
        *("        if not sink.is_new and (settings.rm or settings.verifies):", "        if False:"),
        f"{CLI}::test_rm_keeps_the_source_of_a_device_or_pipe",
    ),
    mend(
        *("9", "--rm with -c", "arzip/cli/args.py"),
        *("        if self.rm and self.to_stdout:", "        if False:"),
        f"{CLI}::test_rm_without_a_whole_output_file_is_an_error",
    ),
    mend(
        *("10", "a signal waits for threads", "arzip/cli/process.py"),
        *("            late[0].start()", "            pass"),
        f"{PROCESS}::test_a_thread_that_does_not_stop_holds_nothing_up",
    ),
    mend(
        *("11d", "ctime isn't looked at", "arzip/system/files.py"),
        *('"st_mtime_ns", "st_ctime_ns")', '"st_mtime_ns")'),
        f"{FILES}::test_source_that_changed_with_its_mtime_put_back_is_kept",
    ),
    mend(
        *("11d", "the source isn't read once more", "arzip/cli/verify.py"),
        *("        if _digest(again) != digest:", "        if False:"),
        f"{CLI}::test_a_source_that_changes_behind_its_times_is_kept",
    ),
    mend(
        *("11g", "unfinished outputs have names", "arzip/system/outputs.py"),
        *('    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):', "    if False:"),
        f"{CLI}::test_kill_leaves_nothing",
        f"{FILES}::test_an_unfinished_output_has_no_name_where_the_system_can",
    ),
    mend(
        *("11g", "what others left stays", "arzip/system/outputs.py"),
        *("    _remove_stale(folder)\n    path", "    path"),
        f"{FILES}::test_unfinished_outputs_of_dead_processes_are_removed",
    ),
    mend(
        *("11i", "Ctrl-C as Python has it", "arzip/__main__.py"),
        *("if signal.getsignal(signal.SIGINT) is signal.default_int_handler:", "if False:"),
        f"{PROCESS}::test_a_signal_while_modules_are_imported_ends_it_without_a_traceback",
        f"{CLI}::test_ctrl_c_before_the_command_line_is_read_prints_no_traceback",
    ),
    mend(
        *(
            "11j",
            "one kind of MemoryError",
            "arzip/cli/messages.py",
            "_OUT_OF_MEMORY.search(said) is not None",
            "False",
        ),
        "cli/test_short_of_memory.py::test_whatever_says_that_memory_is_short_is_told_in_three_words",
    ),
    mend(
        *("11j", "a model is parsed without room", "arzip/weights/file.py"),
        *("        np.empty(len(data) + LOAD_ROOM, np.uint8)", "        pass"),
        "cli/test_short_of_memory.py::test_memory_for_a_model_is_there_before_it_is_parsed",
    ),
    mend(
        *("11j", "threads that wait for failed ones", "arzip/coding/prefill.py"),
        *("        while not over.wait(RELEASE_SECONDS):", "        while False:"),
        "coding/test_prefill.py::test_a_thread_that_fails_ends_both",
    ),
)
USERS = (
    mend(
        *("12", "no holes", "arzip/cli/fileio.py", "sparse = settings.sparse and not is_archive", "sparse = False"),
        f"{CLI}::test_zeros_become_holes",
    ),
    mend(
        *("12", "zeros in many blocks", "arzip/codec/encoder.py"),
        *("block_codec.repeated_share(raw, self._level) if len(sizes) > 1 else 0.0", "0.0"),
        f"{REPEATS}::test_zeros_are_one_block_of_a_few_bytes",
    ),
    mend(
        *("12", "files named twice", "arzip/cli/messages.py"),
        *('message = message.removeprefix(f"{name}: ")', "pass"),
        f"{PROCESS}::test_an_output_that_is_the_input_is_named_once",
    ),
    mend(
        *("12", "suffixes in small letters", "arzip/cli/names.py"),
        *("return os.path.splitext(name)[1].lower() in SUFFIXES", "return os.path.splitext(name)[1] in SUFFIXES"),
        "cli/test_inputs.py::test_an_archive_in_capitals_is_not_compressed_again",
    ),
    mend(
        *("12", "suffixes in small letters", "arzip/cli/names.py"),
        *("    if suffix.lower() not in SUFFIXES:", "    if suffix not in SUFFIXES:"),
        "cli/test_inputs.py::test_suffixes_in_any_case",
    ),
    mend(
        *("12", "rows of letters aren't looked for", "arzip/media/headerless.py"),
        *("letter_rows.find(raw) + picture_statistics.find(raw)", "picture_statistics.find(raw)"),
        "media/test_headerless.py::test_rows_of_few_letters_are_found",
        "media/test_headerless.py::test_a_shift_register_takes_a_few_bytes",
    ),
)
MENDS = (*LIMITS, *INSTALLATION, *ARCHIVES, *MODELS, *PROCESSES, *USERS)
