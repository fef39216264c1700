#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.hpp"
#include "decoding/align.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace w2vc::decoding {

void bind_alignment(nb::module_& module) {
    nb::class_<Alignment>(module, "Alignment", "A text in frames. Words that were left out are not there.")
        .def_ro("tokens", &Alignment::tokens)
        .def_ro("words", &Alignment::words)
        .def_ro("score", &Alignment::score, "Log probability of the path.");
    nb::class_<Aligner>(
        module, "Aligner",
        "Where in a clip a known text is said. Words are spelled in whatever case; * stands for any "
        "speech, [word] may be left out.")
        .def(
            "__init__",
            [](Aligner* self, std::vector<std::string> tokens, int blank, std::string delimiter,
               std::string replace_delimiter, std::vector<std::string> special_tokens, bool phonemes) {
                new (self) Aligner(vocabulary_of(std::move(tokens), blank, std::move(delimiter),
                                                 std::move(replace_delimiter), std::move(special_tokens),
                                                 false, false, phonemes));
            },
            "tokens"_a, nb::kw_only(), "blank"_a, "delimiter"_a = "", "replace_delimiter"_a = " ",
            "special_tokens"_a = std::vector<std::string>(), "phonemes"_a = false)
        .def(
            "align",
            [](const Aligner& aligner, const Array& logits, const std::string& text) {
                return aligner.align(logits_of(logits), text);
            },
            "logits"_a, "text"_a, nb::call_guard<nb::gil_scoped_release>(),
            "The best path of logits [frames, tokens] through a text.");
}

}  // namespace w2vc::decoding
