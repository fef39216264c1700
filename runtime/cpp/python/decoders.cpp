#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <cstdio>

#include "bindings.hpp"
#include "decoding/batch.hpp"
#include "decoding/beam.hpp"
#include "decoding/greedy.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace w2vc::decoding {
namespace {

using Readings = std::vector<Hypothesis>;
using Released = nb::call_guard<nb::gil_scoped_release>;

// A stream's search, and the decoder that it belongs to.
class State {
  public:
    explicit State(std::shared_ptr<const BeamDecoder> decoder)
        : decoder_(std::move(decoder)), stream_(decoder_->stream()) {}
    void advance(const Array& logits) { stream_->push(logits_of(logits)); }
    Readings read() { return stream_->read(); }

  private:
    std::shared_ptr<const BeamDecoder> decoder_;
    std::unique_ptr<Stream> stream_;
};

std::vector<Readings> decode_all(const Decoder& decoder, const std::vector<Array>& arrays,
                                 std::size_t threads) {
    std::vector<Logits> clips;
    for (const auto& array : arrays) {
        clips.push_back(logits_of(array));
    }
    const nb::gil_scoped_release released;
    return decode_batch(decoder, clips, threads);
}

void bind_results(nb::module_& module) {
    nb::class_<Span>(module, "Span", "A token or a word in frames start_frame <= f < end_frame.")
        .def_ro("text", &Span::text)
        .def_ro("start_frame", &Span::start_frame)
        .def_ro("end_frame", &Span::end_frame)
        .def_ro("confidence", &Span::confidence, "0..1; of a word the geometric mean over its tokens.")
        .def("__repr__", [](const Span& span) {
            return nb::str("Span({!r}, {}, {}, {:.4f})")
                .format(span.text, span.start_frame, span.end_frame, span.confidence);
        });
    nb::class_<Hypothesis>(module, "Hypothesis", "One reading of a clip. Scores are natural logarithms.")
        .def_ro("text", &Hypothesis::text)
        .def_ro("tokens", &Hypothesis::tokens)
        .def_ro("words", &Hypothesis::words)
        .def_ro("score", &Hypothesis::score, "What hypotheses are ordered by.")
        .def_ro("acoustic_score", &Hypothesis::acoustic_score, "Log probability of the paths that were kept.")
        .def_ro("language_score", &Hypothesis::language_score,
                "What language model and hotwords added to it.")
        .def("__repr__", [](const Hypothesis& reading) {
            return nb::str("Hypothesis({!r}, score={:.4f})").format(reading.text, reading.score);
        });
}

}  // namespace

Vocabulary vocabulary_of(std::vector<std::string> tokens, int blank, std::string delimiter,
                         std::string replace_delimiter, std::vector<std::string> special_tokens,
                         bool lower_case, bool clean_up, bool phonemes) {
    Vocabulary vocabulary;
    vocabulary.tokens = std::move(tokens);
    vocabulary.blank = blank;
    vocabulary.delimiter = std::move(delimiter);
    vocabulary.replace_delimiter = std::move(replace_delimiter);
    vocabulary.special_tokens = std::move(special_tokens);
    vocabulary.lower_case = lower_case;
    vocabulary.clean_up = clean_up;
    vocabulary.phonemes = phonemes;
    return vocabulary;
}

void bind_decoders(nb::module_& module) {
    bind_results(module);
    nb::class_<GreedyDecoder>(module, "GreedyDecoder",
                              "The best path, as the checkpoint's tokenizer reads it.")
        .def(
            "__init__",
            [](GreedyDecoder* self, std::vector<std::string> tokens, int blank, std::string delimiter,
               std::string replace_delimiter, std::vector<std::string> special_tokens, bool lower_case,
               bool clean_up, bool phonemes, bool skip_special_tokens) {
                new (self)
                    GreedyDecoder(vocabulary_of(std::move(tokens), blank, std::move(delimiter),
                                                std::move(replace_delimiter), std::move(special_tokens),
                                                lower_case, clean_up, phonemes),
                                  skip_special_tokens);
            },
            "tokens"_a, nb::kw_only(), "blank"_a, "delimiter"_a = "", "replace_delimiter"_a = " ",
            "special_tokens"_a = std::vector<std::string>(), "lower_case"_a = false, "clean_up"_a = false,
            "phonemes"_a = false, "skip_special_tokens"_a = true)
        .def(
            "decode",
            [](const GreedyDecoder& decoder, const Array& logits) {
                return decoder.decode(logits_of(logits));
            },
            "logits"_a, Released(), "One hypothesis of logits [frames, tokens].")
        .def(
            "decode_batch",
            [](const GreedyDecoder& decoder, const std::vector<Array>& clips, std::size_t threads) {
                return decode_all(decoder, clips, threads);
            },
            "clips"_a, "threads"_a = 0, "Hypotheses of each clip; threads: 0 for one a core.");
    nb::class_<State>(module, "State",
                      "A search that goes on: chunks give what the whole gives. One thread at a time.")
        .def("advance", &State::advance, "logits"_a, Released(), "Take the next frames, [frames, tokens].")
        .def("read", &State::read, Released(), "The hypotheses for all frames so far; the search can go on.");
    nb::class_<BeamDecoder>(
        module, "Decoder",
        "Prefix beam search with a language model and hotwords. Thread-safe; scores, defaults and "
        "pruning are pyctcdecode's.")
        .def(
            "__init__",
            [](BeamDecoder* self, std::vector<std::string> tokens, int blank, std::string delimiter,
               std::string replace_delimiter, std::vector<std::string> special_tokens, bool lower_case,
               bool clean_up, bool phonemes, std::shared_ptr<WordModel> language_model,
               std::optional<std::vector<std::string>> unigrams,
               const std::map<std::string, double>& hotwords, double alpha, double beta,
               std::size_t beam_width, double beam_prune_logp, double token_min_logp, double unk_score_offset,
               bool score_boundary, std::optional<bool> prune_history, std::size_t nbest) {
                BeamOptions options;
                options.alpha = alpha;
                options.beta = beta;
                options.beam_width = beam_width;
                options.beam_prune_logp = beam_prune_logp;
                options.token_min_logp = token_min_logp;
                options.unk_score_offset = unk_score_offset;
                options.score_boundary = score_boundary;
                options.prune_history = prune_history;
                options.nbest = nbest;
                options.unigrams = std::move(unigrams);
                for (const auto& [text, weight] : hotwords) {
                    options.hotwords.push_back({text, weight});
                }
                new (self) BeamDecoder(vocabulary_of(std::move(tokens), blank, std::move(delimiter),
                                                     std::move(replace_delimiter), std::move(special_tokens),
                                                     lower_case, clean_up, phonemes),
                                       std::shared_ptr<const WordModel>(std::move(language_model)),
                                       std::move(options));
            },
            "tokens"_a, nb::kw_only(), "blank"_a, "delimiter"_a = "", "replace_delimiter"_a = " ",
            "special_tokens"_a = std::vector<std::string>(), "lower_case"_a = false, "clean_up"_a = false,
            "phonemes"_a = false, "language_model"_a = nb::none(), "unigrams"_a = nb::none(),
            "hotwords"_a = std::map<std::string, double>(), "alpha"_a = 0.5, "beta"_a = 1.5,
            "beam_width"_a = 100, "beam_prune_logp"_a = -10.0, "token_min_logp"_a = -5.0,
            "unk_score_offset"_a = -10.0, "score_boundary"_a = true, "prune_history"_a = nb::none(),
            "nbest"_a = 1)
        .def(
            "decode",
            [](const BeamDecoder& decoder, const Array& logits) { return decoder.decode(logits_of(logits)); },
            "logits"_a, Released(), "The best hypotheses of logits [frames, tokens], best first.")
        .def(
            "decode_batch",
            [](const BeamDecoder& decoder, const std::vector<Array>& clips, std::size_t threads) {
                return decode_all(decoder, clips, threads);
            },
            "clips"_a, "threads"_a = 0, "Hypotheses of each clip; threads: 0 for one a core.")
        .def(
            "state",
            [](std::shared_ptr<BeamDecoder> decoder) { return std::make_unique<State>(std::move(decoder)); },
            "A search that takes a stream in chunks.");
}

}  // namespace w2vc::decoding
