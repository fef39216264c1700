// What no type says of a manifest: that its parts belong together.
#include <algorithm>
#include <functional>
#include <set>

#include "bundle/manifest.hpp"
#include "support/text.hpp"

namespace w2vc::bundle {
namespace {

using features::LogMel;
using Problem = std::optional<std::string>;

constexpr std::int64_t kMostSeconds = 30;
constexpr std::int64_t kMostStepsASecond = 2000;

// An output of a head and how many dimensions it may have.
struct Output {
    const char* name;
    std::vector<std::size_t> dimensions;
};

std::vector<Output> outputs_of(const std::string& head) {
    if (head == "base") return {{"last_hidden_state", {3}}};
    if (head == "sequence-classification") return {{"logits", {2}}};
    if (head == "xvector") return {{"logits", {2}}, {"embeddings", {2}}};
    if (head == "pretraining") {
        return {{"projected_states", {3}},
                {"projected_quantized_states", {3}},
                {"codevector_perplexity", {0, 1}}};
    }
    return {{"logits", {3}}};  // ctc, frame-classification
}

// Python's `str(list(shape))`.
std::string shown(const std::vector<Dimension>& shape) {
    std::vector<std::string> parts;
    for (const Dimension& each : shape) {
        const auto* name = std::get_if<std::string>(&each);
        parts.push_back(name ? "'" + *name + "'" : std::to_string(std::get<std::int64_t>(each)));
    }
    return "[" + text::join(parts, ", ") + "]";
}

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

Problem recipe(const Manifest& manifest) {
    const std::int64_t rate = sampling_rate(manifest.features);
    if (manifest.shortest > kMostSeconds * rate) {
        return "shortest is " + text::grouped(manifest.shortest) + " samples, and must be at most " +
               std::to_string(kMostSeconds) + " seconds";
    }
    if (const auto* mel = std::get_if<LogMel>(&manifest.features)) {
        if (mel->fft_length < mel->frame_length) {
            return "features.fft_length is " + std::to_string(mel->fft_length) + ", and frames of " +
                   std::to_string(mel->frame_length) + " samples do not fit";
        }
        if (mel->max_frequency <= mel->min_frequency)
            return "features.max_frequency is not above min_frequency";
        if (mel->hop_length * kMostStepsASecond < rate) {
            return "features.hop_length is " + std::to_string(mel->hop_length) + " samples of " +
                   std::to_string(rate) + " a second: too short a step";
        }
    }
    for (const auto& [axis, frames] : manifest.frames) {
        if (!frames.count(manifest.shortest)) {
            return "shortest is " + std::to_string(manifest.shortest) + ", and the first of frames." + axis +
                   " is made of " + std::to_string(frames.field) + " samples";
        }
    }
    return {};
}

std::vector<Tensor> inputs_of(const Manifest& manifest) {
    std::vector<Dimension> shape = {std::string("batch"), std::string("samples")};
    if (const auto* mel = std::get_if<LogMel>(&manifest.features)) {
        shape = {std::string("batch"), std::string("frames"), mel->num_mel_bins * mel->stride};
    }
    std::vector<Tensor> wanted = {{input_name(manifest.features), "float32", shape},
                                  {"attention_mask", "int64", {shape[0], shape[1]}}};
    if (manifest.head == "pretraining") {
        wanted.push_back({"mask_time_indices", "bool", {std::string("batch"), std::string("frames")}});
    }
    return wanted;
}

Problem inputs(const Manifest& manifest) {
    if (manifest.head == "pretraining" && !find(manifest.frames, "frames")) {
        return "frames lacks 'frames', which mask_time_indices is of";
    }
    const std::vector<Tensor> wanted = inputs_of(manifest);
    const auto equal = [](const Tensor& a, const Tensor& b) {
        return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape;
    };
    if (std::equal(manifest.inputs.begin(), manifest.inputs.end(), wanted.begin(), wanted.end(), equal))
        return {};
    std::vector<std::string> takes;
    for (const Tensor& each : wanted) takes.push_back(each.name + " " + each.dtype + " " + shown(each.shape));
    const char* kind = std::holds_alternative<LogMel>(manifest.features) ? "log-mel" : "waveform";
    return "inputs must be " + text::join(takes, ", ") + ", for features of kind " + kind + " and head " +
           manifest.head;
}

bool hidden(std::string_view name) {
    constexpr std::string_view prefix = "hidden_states_";
    if (name.substr(0, prefix.size()) != prefix) return false;
    const std::string_view number = name.substr(prefix.size());
    return !number.empty() && number.size() <= 4 &&
           std::all_of(number.begin(), number.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Outputs of the right names: those of the head first, then for `base` layers, each once.
bool right_names(const Manifest& manifest, const std::vector<Output>& wanted) {
    std::set<std::string> more;
    for (std::size_t index = 0; index < std::max(manifest.outputs.size(), wanted.size()); ++index) {
        if (index >= manifest.outputs.size()) return false;
        const std::string& name = manifest.outputs[index].name;
        if (index < wanted.size() ? name != wanted[index].name
                                  : manifest.head != "base" || !hidden(name) || !more.insert(name).second) {
            return false;
        }
    }
    return true;
}

bool fits(const Tensor& output, const std::vector<std::size_t>& dimensions, const Manifest& manifest) {
    const auto& shape = output.shape;
    const auto* axis = shape.size() < 3 ? nullptr : std::get_if<std::string>(&shape[1]);
    const bool batch = shape.empty() || shape[0] == Dimension(std::string("batch"));
    const bool timed = shape.size() < 3 || (axis && find(manifest.frames, *axis));
    const bool width = shape.size() < 2 || std::holds_alternative<std::int64_t>(shape.back());
    const bool known = std::find(dimensions.begin(), dimensions.end(), shape.size()) != dimensions.end();
    return known && batch && timed && width && output.dtype == "float32";
}

Problem outputs(const Manifest& manifest) {
    const std::vector<Output> wanted = outputs_of(manifest.head);
    if (!right_names(manifest, wanted)) {
        std::vector<std::string> names;
        for (const Output& each : wanted) names.emplace_back(each.name);
        return "outputs of head " + manifest.head + " must be " + text::join(names, ", ");
    }
    for (const Tensor& output : manifest.outputs) {
        const auto own = std::find_if(wanted.begin(), wanted.end(),
                                      [&](const Output& each) { return output.name == each.name; });
        if (!fits(output, own == wanted.end() ? std::vector<std::size_t>{3} : own->dimensions, manifest)) {
            return "output " + output.name + " is " + output.dtype + " " + shown(output.shape) +
                   ", which head " + manifest.head + " has not";
        }
    }
    return {};
}

Problem answers(const Manifest& manifest) {
    const auto misplaced = [&](const char* field, bool given, bool wanted) -> Problem {
        if (given == wanted) return {};
        return std::string(field) + " must be " + (given ? "null" : "given") + " for head " + manifest.head;
    };
    const bool classifies =
        manifest.head == "sequence-classification" || manifest.head == "frame-classification";
    if (auto problem = misplaced("ctc", manifest.ctc.has_value(), manifest.head == "ctc")) return problem;
    if (auto problem = misplaced("labels", manifest.labels.has_value(), classifies)) return problem;
    const auto& shape = manifest.outputs.front().shape;
    std::vector<Dimension> channels;
    if (!shape.empty()) channels.push_back(shape.back());
    const auto differ = [&](std::size_t count) {
        return channels != std::vector<Dimension>{static_cast<std::int64_t>(count)};
    };
    if (manifest.ctc) {
        const std::size_t tokens = manifest.ctc->vocabulary.size();
        if (manifest.ctc->blank >= static_cast<std::int64_t>(tokens)) {
            return "ctc.blank is " + std::to_string(manifest.ctc->blank) + ", and ctc.vocabulary has " +
                   std::to_string(tokens) + " tokens";
        }
        if (differ(tokens)) {
            return "ctc.vocabulary has " + std::to_string(tokens) + " tokens, and there are " +
                   shown(channels) + " logits";
        }
    }
    if (manifest.labels && differ(manifest.labels->names.size())) {
        return "labels.names has " + std::to_string(manifest.labels->names.size()) +
               " labels, and there are " + shown(channels) + " logits";
    }
    return {};
}

Problem graphs(const Manifest& manifest) {
    std::vector<std::string> precisions, verified;
    for (const Graph& graph : manifest.graphs) precisions.push_back(graph.precision);
    for (const auto& [precision, verdict] : manifest.verification) verified.push_back(precision);
    const std::set<std::string> several(precisions.begin(), precisions.end());
    if (several.size() < precisions.size()) {
        return "graphs has two of one precision: " + text::join(precisions, ", ");
    }
    if (std::set<std::string>(verified.begin(), verified.end()) != several) {
        return "verification is of " + text::join(verified, ", ") + ", and graphs of " +
               text::join(precisions, ", ");
    }
    for (const Graph& graph : manifest.graphs) {
        const std::string which = "the graph in " + graph.precision;
        if (!ends_with(graph.files[0], ".onnx")) {  // a library may take another name for another format
            return which + " is " + graph.files[0] + ", and must be an .onnx file";
        }
        for (const std::string& name : graph.files) {
            if (!find(manifest.files, name))
                return "files lacks " + name + ", which " + which + " is made of";
        }
    }
    for (const auto& [precision, verdict] : manifest.verification) {
        if (!verdict.passed)
            return "verification." + precision + " did not pass, and a bundle is of graphs that did";
        if (!verdict.synthetic) return "verification." + precision + " has no case of noise";
    }
    return {};
}

template <typename T>
bool sorted(const std::vector<T>& values) {
    return std::is_sorted(values.begin(), values.end());
}

// Whether a profile has least, typical and most sizes of every dimension of every input.
bool fits(const Profile& profile, const std::vector<Tensor>& inputs) {
    if (profile.shapes.size() != inputs.size() || !sorted(profile.seconds) || !sorted(profile.batch))
        return false;
    return std::all_of(inputs.begin(), inputs.end(), [&](const Tensor& input) {
        const auto* bounds = find(profile.shapes, input.name);
        if (!bounds) return false;
        for (const auto& each : *bounds) {
            if (each.size() != input.shape.size()) return false;
        }
        for (std::size_t axis = 0; axis < input.shape.size(); ++axis) {
            if ((*bounds)[0][axis] > (*bounds)[1][axis] || (*bounds)[1][axis] > (*bounds)[2][axis])
                return false;
        }
        return true;
    });
}

// Python's `PurePath.suffix`: from the last dot of the name, unless it is the first or the last character.
std::string_view suffix(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    const std::size_t dot = name.rfind('.');
    return dot == name.npos || dot == 0 || dot + 1 == name.size() ? std::string_view() : name.substr(dot);
}

Problem engines(const Manifest& manifest) {
    Named<FileEntry> entries = manifest.files;
    for (const Engine& engine : manifest.engines) {
        if (suffix(engine.file) != ".plan") return "engine " + engine.file + " must be a .plan file";
        for (const auto& [name, entry] : engine.files()) {
            const FileEntry* known = find(entries, name);
            if (known && *known != entry) return "two files are called " + name;
            if (!known) entries.emplace_back(name, entry);
        }
        const bool graph = std::any_of(manifest.graphs.begin(), manifest.graphs.end(),
                                       [&](const Graph& each) { return each.precision == engine.precision; });
        if (!graph) return "engine " + engine.file + " is in " + engine.precision + ", and no graph is";
        if (engine.gpu && engine.targets.empty()) {
            return "engine " + engine.file + " is for " + text::quoted(*engine.gpu) +
                   ", and its targets lack that one's capability";
        }
        const bool fitting = std::all_of(engine.profiles.begin(), engine.profiles.end(),
                                         [&](const Profile& each) { return fits(each, manifest.inputs); });
        if (!fitting) {
            std::vector<std::string> names;
            for (const Tensor& each : manifest.inputs) names.push_back("'" + each.name + "'");
            return "engine " + engine.file + " has profiles that are not of the inputs [" +
                   text::join(names, ", ") + "]";
        }
    }
    return {};
}

}  // namespace

Problem contradiction(const Manifest& manifest) {
    for (const auto part : {recipe, inputs, outputs, answers, graphs, engines}) {
        if (auto problem = part(manifest)) return problem;
    }
    return {};
}

}  // namespace w2vc::bundle
