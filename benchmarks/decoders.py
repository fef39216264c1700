"""The beam search of w2vc-native beside pyctcdecode and flashlight-text: speed, memory, and whether the texts agree.

Each decoder runs in a process and an environment of its own, one after the other, on one thread.

    python benchmarks/decoders.py                       the table of speed and memory
    python benchmarks/decoders.py --agreement [COUNT]   how many best texts are pyctcdecode's
    python benchmarks/decoders.py --strings [COUNT]     word error rate of digit strings, greedy and with a 3-gram
    python benchmarks/decoders.py --loading             how long a model of 10 million n-grams takes to open

What each finds goes into ``benchmarks/results/decoders.json``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from decoding import agreement, jobs, material
from recorded import record

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("W2VC_DATA", ROOT.parent / "shared" / "data")) / "fsdd"
FRAMES_A_SECOND = 50


def speed(folder: Path, utterances: int) -> dict[str, Any]:
    """Utterances of 10 s: 500 frames of 28 tokens, a 3-gram of 3,000 words, 100 beams."""
    made = material.make(folder, utterances=utterances)
    arpa = folder / "lm.arpa"
    logits = made.logits
    rows = {}
    rows["pyctcdecode"] = jobs.run("pyctcdecode", logits, made.tokens, arpa, decode={"prune_history": True})
    for name, tokens, threshold in (("all tokens, threshold 50", 28, 50.0), ("8 tokens, threshold 10", 8, 10.0)):
        options = {"beam_size_token": tokens, "beam_threshold": threshold}
        job = {"words": made.words, "decode": options}
        rows[f"flashlight-text, {name}"] = jobs.run("flashlight", logits, made.tokens, arpa, **job)
    own = rows["w2vc-native"] = jobs.run("native", logits, made.tokens, arpa, threads=os.cpu_count())
    print(f"{utterances} utterances of 10 s: 500 frames, 28 tokens, 3-gram of 3,000 words, 100 beams")
    print("processor time of one thread:")
    print("| decoder | median | least | of our time | loading | memory, of it decoding |")
    print("|---|---|---|---|---|---|")
    median = {name: statistics.median(row["seconds"]) for name, row in rows.items()}
    for name, row in rows.items():
        memory = f"{row['peak']:.0f} MB, {row['peak'] - row['before']:.0f} MB"
        shown = f"{1000 * median[name]:.1f} ms | {1000 * min(row['seconds']):.1f} ms"
        ratio = median[name] / median["w2vc-native"]
        print(f"| {name} | {shown} | {ratio:.1f} | {row['loading']:.2f} s | {memory} |")
    (_, alone), (cores, together) = own["batch"].items()
    faster = statistics.median(one[0] / several[0] for one, several in zip(alone, together))
    spent = statistics.median(several[1] / one[1] for one, several in zip(alone, together))
    print(f"a batch on {cores} threads: {faster:.2f} times as fast as on one, {spent:.2f} times its processor time")
    errors = {name: word_errors([each[0][0] for each in row["outputs"]], made.texts) for name, row in rows.items()}
    print("words wrong, of texts that were cut or repeated to length: " + str(errors))
    figures = {
        name: {
            "median_seconds": median[name],
            "least_seconds": min(row["seconds"]),
            "times_ours": median[name] / median["w2vc-native"],
            "loading_seconds": row["loading"],
            "decoding_megabytes": row["peak"] - row["before"],
            "words_wrong": errors[name],
        }
        for name, row in rows.items()
    }
    return {
        "utterances": utterances,
        "decoders": figures,
        "batch_on_threads": {"threads": int(cores), "times_as_fast": faster},
    }


def word_errors(texts: list[str], references: list[str]) -> int:
    sys.path.insert(0, str(ROOT / "examples" / "digits"))
    from strings import word_errors as count

    return sum(
        count(" ".join((reference + " ").split() * 9)[: len(text)], text) for text, reference in zip(texts, references)
    )


def export_digits(folder: Path) -> Path:
    command = Path(sys.executable).with_name("w2vc-export")
    bundle = folder / "digits"
    subprocess.run([command, "--fp16", "-o", bundle], check=True, stdout=subprocess.DEVNULL)
    return bundle


def strings(folder: Path, count: int) -> dict[str, Any]:
    """Word error rate of digit strings with the carried checkpoint."""
    import w2vc_native

    labels, logits, texts = agreement.digit_logits(export_digits(folder), DATA, count)
    from strings import word_error_rate

    special = ["<s>", "</s>", "⁇"]
    vocabulary = {"blank": labels.index(""), "delimiter": " ", "special_tokens": special}
    greedy = w2vc_native.GreedyDecoder(labels, **vocabulary)
    model = w2vc_native.LanguageModel(str(agreement.digit_model(folder)))
    decoders = {
        "greedy": greedy,
        "beam, no model": w2vc_native.Decoder(labels, **vocabulary),
        "beam, 3-gram": w2vc_native.Decoder(labels, language_model=model, **vocabulary),
        "beam, 3-gram, beta 0": w2vc_native.Decoder(labels, language_model=model, beta=0.0, **vocabulary),
    }
    print(f"{count} digit strings, {sum(len(text.split()) for text in texts)} words")
    rates = {}
    for name, decoder in decoders.items():
        found = [decoder.decode(each)[0].text for each in logits]
        rates[name] = word_error_rate(zip(texts, found))
        print(f"{name}: word error rate {100 * rates[name]:.2f} %")
    return {"strings": count, "words": sum(len(text.split()) for text in texts), "word_error_rate": rates}


def loading(folder: Path, millions: float) -> dict[str, Any]:
    """Compile an ARPA file of random 3-grams and open what came of it."""
    import w2vc_native

    random = np.random.default_rng(0)
    words = [f"w{index}" for index in range(200_000)]
    count = int((millions * 1e6 - len(words)) / 2)
    pairs = np.unique(random.integers(len(words), size=(count + count // 50, 2)), axis=0)[:count]
    triples = np.column_stack([pairs, random.integers(len(words), size=len(pairs))])
    path = folder / "large.arpa"
    with path.open("w") as file:
        file.write(f"\\data\\\nngram 1={len(words) + 2}\nngram 2={len(pairs)}\nngram 3={len(triples)}\n\n\\1-grams:\n")
        file.write("-99\t<s>\t-0.3\n-2\t</s>\n")
        file.writelines(f"-5.3\t{word}\t-0.3\n" for word in words)
        file.write("\n\\2-grams:\n")
        file.writelines(f"-1.5\t{words[left]} {words[right]}\t-0.2\n" for left, right in pairs)
        file.write("\n\\3-grams:\n")
        file.writelines(f"-0.5\t{' '.join(words[word] for word in row)}\n" for row in triples)
        file.write("\n\\end\\\n")
    start = time.perf_counter()
    w2vc_native.compile_arpa(str(path), str(folder / "large.lm"))
    compiling = time.perf_counter() - start
    print(f"compiling {path.stat().st_size / 1e6:.0f} MB of ARPA took {compiling:.1f} s")
    opening = []
    for _ in range(3):
        start = time.perf_counter()
        model = w2vc_native.LanguageModel(str(folder / "large.lm"))
        opening.append(time.perf_counter() - start)
        size = (folder / "large.lm").stat().st_size / 1e6
        print(f"opening {model.ngrams / 1e6:.2f} million n-grams, {size:.0f} MB, took {opening[-1]:.3f} s")
    return {"ngrams": model.ngrams, "megabytes": size, "compiling_seconds": compiling, "opening_seconds": opening}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agreement", type=int, nargs="?", const=1000, metavar="COUNT")
    parser.add_argument("--strings", type=int, nargs="?", const=300, metavar="COUNT")
    parser.add_argument("--loading", type=float, nargs="?", const=10.0, metavar="MILLIONS")
    parser.add_argument("--utterances", type=int, default=20, help="of the table; default: 20")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.agreement:
            bundle = export_digits(folder) if DATA.is_dir() else None
            record("decoders", "agreement", agreement.main(folder, options.agreement, bundle, DATA), load)
        elif options.strings:
            record("decoders", "strings", strings(folder, options.strings), load)
        elif options.loading:
            record("decoders", "loading", loading(folder, options.loading), load)
        else:
            record("decoders", "speed", speed(folder, options.utterances), load)


if __name__ == "__main__":
    main()
