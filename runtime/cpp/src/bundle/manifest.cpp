#include "bundle/manifest.hpp"

#include "bundle/files.hpp"
#include "bundle/schema.hpp"
#include "support/error.hpp"
#include "support/files.hpp"
#include "support/json.hpp"

namespace w2vc::bundle {
namespace {

constexpr const char* kFileName = "manifest.json";
constexpr const char* kPlan = ".plan";

// All of these read values that were checked against their types.

json::Value at(const json::Value& record, std::string_view name) {
    return *record.find(name);
}

std::string text(const json::Value& record, std::string_view name) {
    return std::string(at(record, name).text());
}

std::optional<std::string> optional_text(const json::Value& record, std::string_view name) {
    const json::Value value = at(record, name);
    if (value.is(json::Type::null)) return std::nullopt;
    return std::string(value.text());
}

std::vector<std::string> texts(const json::Value& list) {
    std::vector<std::string> found;
    for (const json::Value& each : list.items()) found.emplace_back(each.text());
    return found;
}

std::vector<std::int64_t> integers(const json::Value& list) {
    std::vector<std::int64_t> found;
    for (const json::Value& each : list.items()) found.push_back(each.integer());
    return found;
}

template <typename Make>
auto listed(const json::Value& list, Make make) {
    std::vector<decltype(make(list))> found;
    for (const json::Value& each : list.items()) found.push_back(make(each));
    return found;
}

template <typename Make>
auto named(const json::Value& object, Make make) {
    Named<decltype(make(object))> found;
    for (const auto& [key, value] : object.members()) found.emplace_back(key, make(value));
    return found;
}

Tensor tensor(const json::Value& value) {
    Tensor made{text(value, "name"), text(value, "dtype"), {}};
    for (const json::Value& axis : at(value, "shape").items()) {
        if (axis.is(json::Type::text))
            made.shape.emplace_back(std::string(axis.text()));
        else
            made.shape.emplace_back(axis.integer());
    }
    return made;
}

features::Recipe recipe(const json::Value& value) {
    const auto integer = [&](const char* name) { return at(value, name).integer(); };
    const auto number = [&](const char* name) { return at(value, name).number(); };
    const auto flag = [&](const char* name) { return at(value, name).boolean(); };
    if (text(value, "kind") == "waveform") {
        return features::Waveform{integer("sampling_rate"), flag("do_normalize"),
                                  flag("return_attention_mask"), number("padding_value"), number("eps")};
    }
    features::LogMel made;
    made.sampling_rate = integer("sampling_rate");
    made.num_mel_bins = integer("num_mel_bins");
    made.stride = integer("stride");
    made.padding_value = number("padding_value");
    made.return_attention_mask = flag("return_attention_mask");
    made.scale = number("scale");
    made.frame_length = integer("frame_length");
    made.hop_length = integer("hop_length");
    made.fft_length = integer("fft_length");
    made.preemphasis = number("preemphasis");
    made.window_power = number("window_power");
    made.min_frequency = number("min_frequency");
    made.max_frequency = number("max_frequency");
    made.mel_factor = number("mel_factor");
    made.mel_break = number("mel_break");
    made.mel_floor = number("mel_floor");
    made.eps = number("eps");
    made.ddof = integer("ddof");
    made.pad_to_multiple_of = integer("pad_to_multiple_of");
    return made;
}

Frames frames(const json::Value& value) {
    return {at(value, "field").integer(), at(value, "step").integer()};
}

FileEntry file_entry(const json::Value& value) {
    return {text(value, "sha256"), at(value, "size").integer()};
}

Graph graph(const json::Value& value) {
    return {text(value, "precision"), texts(at(value, "files")), optional_text(value, "provider")};
}

Verdict verdict(const json::Value& value) {
    Verdict made{at(value, "passed").boolean(), false};
    for (const json::Value& each : at(value, "cases").items()) {
        if (at(each, "difference").is(json::Type::null)) made.passed = false;
        if (!at(each, "recorded").boolean()) made.synthetic = true;
    }
    return made;
}

Ctc ctc(const json::Value& value) {
    Ctc made;
    made.vocabulary = texts(at(value, "vocabulary"));
    made.blank = at(value, "blank").integer();
    made.word_delimiter = text(value, "word_delimiter");
    made.replace_word_delimiter_char = text(value, "replace_word_delimiter_char");
    made.special_tokens = texts(at(value, "special_tokens"));
    made.do_lower_case = at(value, "do_lower_case").boolean();
    made.clean_up_tokenization_spaces = at(value, "clean_up_tokenization_spaces").boolean();
    made.phonemes = text(value, "kind") == "phonemes";
    return made;
}

Profile profile(const json::Value& value) {
    Profile made;
    for (const json::Value& each : at(value, "seconds").items()) made.seconds.push_back(each.number());
    made.batch = integers(at(value, "batch"));
    made.shapes = named(at(value, "shapes"), [](const json::Value& each) { return listed(each, integers); });
    return made;
}

Engine engine(const json::Value& value) {
    Engine made;
    made.file = text(value, "file");
    made.entry = file_entry(value);
    made.backend = text(value, "backend");
    made.version = text(value, "version");
    made.targets = texts(at(value, "targets"));
    made.gpu = optional_text(value, "gpu");
    made.precision = text(value, "precision");
    made.graph = named(at(value, "graph"), [](const json::Value& each) { return std::string(each.text()); });
    made.profiles = listed(at(value, "profiles"), profile);
    const json::Value wrap = at(value, "ep_context");
    if (!wrap.is(json::Type::null)) made.ep_context = file_entry(wrap);
    return made;
}

Manifest manifest(const json::Value& value) {
    Manifest made;
    made.name = text(value, "name");
    made.family = text(value, "family");
    made.head = text(value, "head");
    made.position = text(value, "position");
    made.padding =
        text(value, "padding") == "hf-exact" ? features::Padding::hf_exact : features::Padding::invariant;
    made.inputs = listed(at(value, "inputs"), tensor);
    made.outputs = listed(at(value, "outputs"), tensor);
    made.features = recipe(at(value, "features"));
    made.frames = named(at(value, "frames"), frames);
    made.shortest = at(value, "shortest").integer();
    made.graphs = listed(at(value, "graphs"), graph);
    made.verification = named(at(value, "verification"), verdict);
    made.files = named(at(value, "files"), file_entry);
    const json::Value decoding = at(value, "ctc"), labels = at(value, "labels");
    if (!decoding.is(json::Type::null)) made.ctc = ctc(decoding);
    if (!labels.is(json::Type::null))
        made.labels = Labels{texts(at(labels, "names")), text(labels, "problem_type")};
    if (const auto engines = value.find("engines")) made.engines = listed(*engines, engine);
    return made;
}

Error damaged(const std::string& path, const std::string& why) {
    return {ErrorKind::bundle, path + " is damaged: " + why + "; export the bundle again"};
}

Error wrong(const std::string& path, const std::string& problem) {
    return {ErrorKind::bundle, path + " does not follow schema " + std::to_string(kSchema) + ": " + problem +
                                   "; export the bundle again, or upgrade w2vc"};
}

// The types know nothing of the document's own hash.
void check_types(const json::Value& value, const std::string& path) {
    static const Types types = [] {
        Types signed_types = manifest_types();
        signed_types.front().fields.push_back({"sha256", {Type{Base::text, {}, {}, {}, {}}}, true});
        return signed_types;
    }();
    try {
        check(types, value);
    } catch (const TypeMismatch& error) {
        throw wrong(path, error.what());
    }
}

}  // namespace

std::string Engine::wrap() const {
    const std::string_view suffix = kPlan;
    const bool plan =
        file.size() >= suffix.size() && file.compare(file.size() - suffix.size(), suffix.npos, suffix) == 0;
    return (plan ? file.substr(0, file.size() - suffix.size()) : file) + ".onnx";
}

Named<FileEntry> Engine::files() const {
    Named<FileEntry> all = {{file, entry}};
    if (ep_context) all.emplace_back(wrap(), *ep_context);
    return all;
}

double Manifest::frame_seconds() const {
    const Frames* of = find(frames, std::get<std::string>(outputs.front().shape.at(1)));
    return static_cast<double>(of->step) / static_cast<double>(sampling_rate(features));
}

Manifest Manifest::read(const std::string& bundle) {
    const std::string path = locate(bundle, kFileName, "expected a bundle that w2vc-export wrote");
    std::string content;
    try {
        content = files::read(path, json::kMostBytes);
    } catch (const json::DocumentError& error) {
        throw damaged(path, std::string("it is not a manifest, ") + error.what());
    }
    return parse(content, path, bundle);
}

Manifest Manifest::parse(std::string_view content, const std::string& path, const std::string& bundle) {
    try {
        const json::Document document = json::Document::parse(content);
        const json::Value values = document.root();
        const auto schema = values.is(json::Type::object) ? values.find("schema") : std::nullopt;
        if (!schema || !schema->is(json::Type::integer)) throw damaged(path, "it is not a manifest");
        if (schema->integer() != kSchema) {
            const char* remedy = schema->integer() > kSchema ? "upgrade w2vc" : "export the bundle again";
            throw Error(ErrorKind::bundle,
                        bundle + " has manifest schema " + std::to_string(schema->integer()) +
                            ", and this w2vc reads schema " + std::to_string(kSchema) + "; " + remedy);
        }
        const auto own = values.find("sha256");
        if (!own || !own->is(json::Type::text) ||
            own->text() != files::sha256(json::canonical(values, {"created", "sha256"}))) {
            throw damaged(path, "its content does not match its sha256");
        }
        check_types(values, path);
        Manifest made = manifest(values);
        if (const auto problem = contradiction(made)) throw wrong(path, *problem);
        return made;
    } catch (const json::DocumentError& error) {
        throw damaged(path, std::string("it is not a manifest, ") + error.what());
    }
}

}  // namespace w2vc::bundle
