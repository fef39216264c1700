#include "decoding/language_model.hpp"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings.hpp"
#include "kenlm.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace w2vc::decoding {
namespace {

double score(const LanguageModel& model, const std::vector<std::string>& words, bool bos, bool eos) {
    LanguageState state = bos ? model.begin_state() : model.empty_state();
    double sum = 0.0;
    for (const auto& word : words) {
        sum += static_cast<double>(model.score(state, model.find(word), state));
    }
    if (eos) {
        sum += static_cast<double>(model.score(state, model.end(), state));
    }
    return sum;
}

}  // namespace

void bind_language_model(nb::module_& module) {
    nb::class_<WordModel>(module, "WordModel", "What a Decoder takes for a language model.");
    nb::class_<KenlmModel, WordModel>(
        module, "KenlmModel",
        "A model of the package kenlm, whose binary files only it reads. Slower, and one "
        "thread at a time.")
        .def(nb::init<nb::object>(), "model"_a);
    nb::class_<LanguageModel, WordModel>(
        module, "LanguageModel",
        "An n-gram language model. Immutable; any number of decoders and threads share one.")
        .def(nb::new_([](const std::string& path) {
                 const nb::gil_scoped_release released;
                 return std::const_pointer_cast<LanguageModel>(LanguageModel::open(path));
             }),
             "path"_a,
             "Open a compiled model, which is mapped, or an ARPA file, plain or gzip, which is compiled.")
        .def_prop_ro("order", &LanguageModel::order, "Length of the longest n-grams.")
        .def_prop_ro("words", &LanguageModel::words, "How many words it has, <unk> among them.")
        .def_prop_ro("ngrams", &LanguageModel::ngrams, "How many n-grams it has, of all orders.")
        .def(
            "__contains__",
            [](const LanguageModel& model, const std::string& word) {
                return model.find(word) != model.unknown();
            },
            "word"_a)
        .def(
            "save",
            [](const LanguageModel& model, const std::string& path) { write_file(model.mapping(), path); },
            "path"_a, nb::call_guard<nb::gil_scoped_release>(), "Write the compact form.")
        .def(
            "some_words",
            [](const LanguageModel& model, std::size_t count) {
                std::vector<std::string> words;
                const std::size_t step =
                    std::max<std::size_t>(1, model.words() / std::max<std::size_t>(1, count));
                for (std::size_t index = 0; index < model.words() && words.size() < count; index += step) {
                    words.emplace_back(model.word(static_cast<std::uint32_t>(index)));
                }
                return words;
            },
            "count"_a, "Up to `count` of its words, from all over.")
        .def("score", &score, "words"_a, "bos"_a = true, "eos"_a = true,
             "log10 of the probability of words, after <s> with bos and with </s> after them with eos.");
    module.def(
        "compile_arpa",
        [](const std::string& source, const std::string& target) {
            write_file(compile(read_arpa(source)), target);
        },
        "source"_a, "target"_a, nb::call_guard<nb::gil_scoped_release>(),
        "Write an ARPA file, plain or gzip, in the compact form, which is mapped and not read when it is "
        "opened.");
}

}  // namespace w2vc::decoding
