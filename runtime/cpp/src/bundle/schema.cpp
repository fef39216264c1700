#include "bundle/schema.hpp"

#include <algorithm>
#include <utility>

namespace w2vc::bundle {
namespace {

constexpr std::size_t kLongestName = 255;

bool letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_name(std::string_view text) {
    const auto further = [](char c) {
        return letter(c) || digit(c) || c == '.' || c == '/' || c == ':' || c == '-';
    };
    return !text.empty() && text.size() <= kLongestName && letter(text[0]) &&
           std::all_of(text.begin(), text.end(), further);
}

bool is_sha256(std::string_view text) {
    return text.size() == 64 &&
           std::all_of(text.begin(), text.end(), [](char c) { return digit(c) || (c >= 'a' && c <= 'f'); });
}

Type of(Base base, std::vector<Rule> rules = {}) {
    Type type;
    type.base = base;
    type.rules = std::move(rules);
    return type;
}

Rule range(long double low, long double high, const char* wanted) {
    Rule rule;
    rule.wanted = wanted;
    rule.low = low;
    rule.high = high;
    return rule;
}

Rule pattern(bool (*matches)(std::string_view), const char* wanted) {
    Rule rule;
    rule.kind = Rule::Kind::pattern;
    rule.wanted = wanted;
    rule.matches = matches;
    return rule;
}

Rule at_least(std::size_t entries) {
    Rule rule;
    rule.kind = Rule::Kind::at_least;
    rule.wanted = "of " + std::to_string(entries) + " or more entries";
    rule.entries = entries;
    return rule;
}

Types one_of(std::vector<std::string> values) {
    Rule rule;
    rule.kind = Rule::Kind::one_of;
    rule.wanted = "one of ";
    for (const std::string& value : values) rule.wanted += (&value == &values.front() ? "" : ", ") + value;
    rule.values = std::move(values);
    return {of(Base::text, {std::move(rule)})};
}

Types integer(long double low, long double high, const char* wanted) {
    return {of(Base::integer, {range(low, high, wanted)})};
}

Types number(long double low, long double high, const char* wanted) {
    return {of(Base::number, {range(low, high, wanted)})};
}

Types list(Types entries, std::vector<Rule> rules = {}) {
    Type type = of(Base::list, std::move(rules));
    type.inner = {std::move(entries)};
    return {std::move(type)};
}

Types three(const Types& each) {
    Type type = of(Base::fixed_list);
    type.inner = {each, each, each};
    return {std::move(type)};
}

Types map(Types names, Types values, std::vector<Rule> rules = {}) {
    Type type = of(Base::map, std::move(rules));
    type.inner = {std::move(names), std::move(values)};
    return {std::move(type)};
}

Types record(std::vector<Field> fields, const char* kind = "") {
    Type type = of(Base::record);
    type.fields = std::move(fields);
    type.kind = kind;
    return {std::move(type)};
}

Types either(Types one, const Types& other) {
    one.insert(one.end(), other.begin(), other.end());
    return one;
}

Types null() {
    return {of(Base::null)};
}

Types text() {
    return {of(Base::text)};
}

Types flag() {
    return {of(Base::boolean)};
}

Types name() {
    return {of(Base::text, {pattern(is_name, "a name")})};
}

Types sha256() {
    return {of(Base::text, {pattern(is_sha256, "64 hexadecimal digits")})};
}

Types inner_path() {
    return {of(Base::text, {pattern(is_inner_path, "a plain path inside the bundle, such as model.onnx")})};
}

Types count() {
    return integer(0, 9007199254740992.0L, "from 0 to 9,007,199,254,740,992");
}

Types size() {
    return integer(1, 2147483648.0L, "from 1 to 2,147,483,648");
}

Types share() {
    return number(0, 1, "from 0 to 1");
}

Types amount() {
    return number(0, 1e15L, "from 0 to 1,000,000,000,000,000.0");
}

Types hz() {
    return integer(1, 192000, "from 1 to 192,000");
}

Types filling() {
    return number(-1e6L, 1e6L, "from -1,000,000.0 to 1,000,000.0");
}

// The least is a float64, as Python has it.
Types tiny_to_one() {
    return number(1e-30, 1, "from 1e-30 to 1");
}

Types tiny_to_million() {
    return number(1e-6, 1e6L, "from 1e-06 to 1,000,000.0");
}

Types samples(long double low, const char* wanted) {
    return integer(low, 16384, wanted);
}

Types recipe() {
    const Types frequency = number(0, 96000, "from 0 to 96,000");
    Types waveform = record({{"sampling_rate", hz()},
                             {"do_normalize", flag()},
                             {"return_attention_mask", flag()},
                             {"padding_value", filling()},
                             {"eps", tiny_to_one()}},
                            "waveform");
    const Types log_mel = record({{"sampling_rate", hz()},
                                  {"num_mel_bins", integer(1, 1024, "from 1 to 1,024")},
                                  {"stride", integer(2, 2, "from 2 to 2")},
                                  {"padding_value", filling()},
                                  {"return_attention_mask", flag()},
                                  {"scale", tiny_to_million()},
                                  {"frame_length", samples(2, "from 2 to 16,384")},
                                  {"hop_length", samples(1, "from 1 to 16,384")},
                                  {"fft_length", samples(2, "from 2 to 16,384")},
                                  {"preemphasis", share()},
                                  {"window_power", number(0, 100, "from 0 to 100")},
                                  {"min_frequency", frequency},
                                  {"max_frequency", frequency},
                                  {"mel_factor", tiny_to_million()},
                                  {"mel_break", tiny_to_million()},
                                  {"mel_floor", tiny_to_one()},
                                  {"eps", tiny_to_one()},
                                  {"ddof", integer(0, 1, "from 0 to 1")},
                                  {"pad_to_multiple_of", samples(1, "from 1 to 16,384")}},
                                 "log-mel");
    return either(std::move(waveform), log_mel);
}

Types tensors() {
    return list(record({{"name", name()},
                        {"dtype", one_of({"float32", "int64", "bool"})},
                        {"shape", list(either(name(), size()))}}));
}

Types ctc() {
    return record({{"vocabulary", list(text(), {at_least(1)})},
                   {"blank", count()},
                   {"word_delimiter", text()},
                   {"replace_word_delimiter_char", text()},
                   {"special_tokens", list(text())},
                   {"do_lower_case", flag()},
                   {"clean_up_tokenization_spaces", flag()},
                   {"kind", one_of({"characters", "phonemes"})}});
}

Types labels() {
    return record({{"names", list(text(), {at_least(1)})},
                   {"problem_type",
                    one_of({"single_label_classification", "multi_label_classification", "regression"})}});
}

Types graphs() {
    return list(record({{"precision", name()},
                        {"files", list(inner_path(), {at_least(1)})},
                        {"opset", integer(1, 1000, "from 1 to 1,000")},
                        {"kept_fp32", map(text(), count())},
                        {"kept", list(record({{"nodes", list(text())}, {"reason", text()}}))},
                        {"provider", either(name(), null())}}),
                {at_least(1)});
}

Types file_entry() {
    return record({{"sha256", sha256()}, {"size", count()}});
}

Types engines() {
    const Types profile = record({{"seconds", three(number(0, 3600, "from 0 to 3,600"))},
                                  {"batch", three(size())},
                                  {"shapes", map(name(), three(list(size())))}});
    return list(record({{"file", inner_path()},
                        {"sha256", sha256()},
                        {"size", count()},
                        {"backend", name()},
                        {"version", text()},
                        {"platform", text()},
                        {"targets", list(name())},
                        {"gpu", either(text(), null())},
                        {"flags", list(text())},
                        {"precision", name()},
                        {"graph", map(inner_path(), sha256(), {at_least(1)})},
                        {"profiles", list(profile, {at_least(1)})},
                        {"ep_context", either(file_entry(), null())},
                        {"activation_bytes", either(count(), null()), true}}));
}

Types certified_audio() {
    const Types rates = record({{"wer", {of(Base::number)}}, {"cer", {of(Base::number)}}});
    return record({{"directory", text()},
                   {"clips", count()},
                   {"seconds", amount()},
                   {"words", either(count(), null()), true},
                   {"reference", either(rates, null()), true},
                   {"wer", either(amount(), null()), true},
                   {"cer", either(amount(), null()), true}});
}

Types certified() {
    const Types budget = record({{"difference", amount()},
                                 {"choices", share()},
                                 {"wer", amount()},
                                 {"alone", amount()},
                                 {"same_alone", share()}});
    const Types one_case = record({{"case", text()},
                                   {"batch", size()},
                                   {"seconds", amount()},
                                   {"difference", either(amount(), null())},
                                   {"choices", count()},
                                   {"same", count()},
                                   {"recorded", flag()},
                                   {"alone", either(amount(), null())},
                                   {"changed", count()}});
    const Types session = record({{"session", text()},
                                  {"passed", flag()},
                                  {"difference", either(amount(), null())},
                                  {"same_percent", either(amount(), null())},
                                  {"error_percent", either(amount(), null())}});
    return record({{"passed", flag()},
                   {"summary", text()},
                   {"budget", budget},
                   {"problems", list(text())},
                   {"material", text()},
                   {"audio", either(certified_audio(), null())},
                   {"cases", list(one_case, {at_least(1)})},
                   {"reference", text()},
                   {"sessions", list(session), true}});
}

Types manifest() {
    const Types frames = record({{"field", size()}, {"step", size()}});
    const Types heads =
        one_of({"base", "ctc", "sequence-classification", "frame-classification", "xvector", "pretraining"});
    return record({{"name", text()},
                   {"family", text()},
                   {"head", heads},
                   {"position", text()},
                   {"padding", one_of({"padding-invariant", "hf-exact"})},
                   {"inputs", tensors()},
                   {"outputs", tensors()},
                   {"features", recipe()},
                   {"frames", map(name(), frames)},
                   {"shortest", size()},
                   {"graphs", graphs()},
                   {"source", record({{"name", text()}, {"sha256", sha256()}})},
                   {"tools", map(text(), text())},
                   {"verification", map(name(), certified())},
                   {"files", map(inner_path(), file_entry())},
                   {"ctc", either(ctc(), null())},
                   {"labels", either(labels(), null())},
                   {"created", text()},
                   {"engines", engines(), true},
                   {"schema", integer(kSchema, kSchema, "from 5 to 5")}});
}

}  // namespace

bool is_inner_path(std::string_view text) {
    if (text.size() > kLongestName) return false;
    bool first = true;
    for (const char c : text) {
        if (first ? !(letter(c) || digit(c))
                  : !(letter(c) || digit(c) || c == '.' || c == '+' || c == '-' || c == '/')) {
            return false;
        }
        first = c == '/';
    }
    return !first;
}

const Types& manifest_types() {
    static const Types types = manifest();
    return types;
}

}  // namespace w2vc::bundle
