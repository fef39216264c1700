#include "support/json.hpp"

#include <locale.h>
#include <yyjson/yyjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "support/files.hpp"
#include "support/text.hpp"

namespace w2vc::json {
namespace {

std::string_view raw(yyjson_val* value) {
    return {yyjson_get_raw(value), yyjson_get_len(value)};
}

bool whole(std::string_view digits) {
    return digits.find_first_of(".eE") == digits.npos;
}

// Infinite where it is past float64, and 0 where it is too small for it.
double parsed(std::string_view digits) {
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc::result_out_of_range) return value;
    const std::unique_ptr<std::remove_pointer_t<locale_t>, void (*)(locale_t)> plain(
        newlocale(LC_ALL_MASK, "C", nullptr), freelocale);
    return strtod_l(std::string(digits).c_str(), nullptr, plain.get());
}

void check_text(std::string_view content) {
    if (content.size() <= kMostCharacters) return;
    const std::size_t characters = text::length(content);
    if (characters > kMostCharacters) {
        throw DocumentError("it has a text of " + text::grouped(static_cast<std::int64_t>(characters)) +
                            " characters; " + text::grouped(kMostCharacters) + " are the most");
    }
}

void check_number(std::string_view digits) {
    const bool constant = digits.find_first_of("Nn") != digits.npos;
    if (!constant && whole(digits)) {
        if (digits.size() - (digits[0] == '-') > kMostDigits) {
            throw DocumentError("it has a whole number of " +
                                text::grouped(static_cast<std::int64_t>(digits.size())) + " digits; " +
                                std::to_string(kMostDigits) + " are the most");
        }
        return;
    }
    const bool known = digits == "NaN" || digits == "Infinity" || digits == "-Infinity";
    if (constant && !known) throw DocumentError("it is not JSON");
    if (constant || !std::isfinite(parsed(digits))) {
        throw DocumentError("it has the number " + std::string(digits.substr(0, 20)) +
                            ", which is not finite");
    }
}

void check_keys(const Value& object) {
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : object.members()) {
        check_text(key);
        keys.push_back(key);
    }
    std::sort(keys.begin(), keys.end());
    if (std::adjacent_find(keys.begin(), keys.end()) != keys.end()) {
        throw DocumentError("it has an object in which a key comes twice");
    }
}

void check(yyjson_val* value, int depth) {
    if (yyjson_is_raw(value)) {
        check_number(raw(value));
    } else if (yyjson_is_str(value)) {
        check_text({yyjson_get_str(value), yyjson_get_len(value)});
    } else if (yyjson_is_ctn(value)) {
        if (depth == 0) {
            throw DocumentError("it is nested more than " + std::to_string(kMostDepth) + " deep");
        }
        if (yyjson_is_arr(value)) {
            yyjson_arr_iter iterator = yyjson_arr_iter_with(value);
            while (yyjson_val* each = yyjson_arr_iter_next(&iterator)) check(each, depth - 1);
        } else {
            check_keys(Value(value));
            yyjson_obj_iter iterator = yyjson_obj_iter_with(value);
            while (yyjson_val* key = yyjson_obj_iter_next(&iterator))
                check(yyjson_obj_iter_get_val(key), depth - 1);
        }
    }
}

void write(const Value& value, const std::vector<std::string_view>& without, std::string& out) {
    switch (value.type()) {
        case Type::null:
            out += "null";
            return;
        case Type::boolean:
            out += value.boolean() ? "true" : "false";
            return;
        case Type::integer:
            out += std::to_string(value.integer());
            return;
        case Type::real:
            out += text::number(value.number());
            return;
        case Type::text:
            out += text::json(value.text(), true);
            return;
        case Type::list: {
            const char* separator = "[";
            for (const Value& each : value.items()) {
                out += separator;
                write(each, {}, out);
                separator = ", ";
            }
            out += value.size() ? "]" : "[]";
            return;
        }
        case Type::object: {
            auto members = value.members();  // UTF-8 sorts as its code points do
            std::sort(members.begin(), members.end(),
                      [](const auto& a, const auto& b) { return a.first < b.first; });
            out += "{";
            const char* separator = "";
            for (const auto& [key, each] : members) {
                if (std::find(without.begin(), without.end(), key) != without.end()) continue;
                out += separator;
                out += text::json(key, true);
                out += ": ";
                write(each, {}, out);
                separator = ", ";
            }
            out += "}";
        }
    }
}

}  // namespace

Type Value::type() const {
    switch (yyjson_get_type(value_)) {
        case YYJSON_TYPE_BOOL:
            return Type::boolean;
        case YYJSON_TYPE_RAW:
            return whole(raw(value_)) ? Type::integer : Type::real;
        case YYJSON_TYPE_STR:
            return Type::text;
        case YYJSON_TYPE_ARR:
            return Type::list;
        case YYJSON_TYPE_OBJ:
            return Type::object;
        default:
            return Type::null;
    }
}

bool Value::boolean() const {
    return yyjson_get_bool(value_);
}

std::int64_t Value::integer() const {
    const std::string_view digits = raw(value_);
    std::int64_t value = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return value;
}

double Value::number() const {
    return parsed(raw(value_));
}

std::string_view Value::text() const {
    return {yyjson_get_str(value_), yyjson_get_len(value_)};
}

std::size_t Value::size() const {
    return yyjson_get_len(value_);
}

std::vector<Value> Value::items() const {
    std::vector<Value> found;
    if (!yyjson_is_arr(value_)) return found;
    found.reserve(size());
    yyjson_arr_iter iterator = yyjson_arr_iter_with(value_);
    while (yyjson_val* each = yyjson_arr_iter_next(&iterator)) found.emplace_back(each);
    return found;
}

std::vector<std::pair<std::string_view, Value>> Value::members() const {
    std::vector<std::pair<std::string_view, Value>> found;
    if (!yyjson_is_obj(value_)) return found;
    found.reserve(size());
    yyjson_obj_iter iterator = yyjson_obj_iter_with(value_);
    while (yyjson_val* key = yyjson_obj_iter_next(&iterator)) {
        found.emplace_back(Value(key).text(), Value(yyjson_obj_iter_get_val(key)));
    }
    return found;
}

std::optional<Value> Value::find(std::string_view key) const {
    yyjson_val* found = yyjson_obj_getn(value_, key.data(), key.size());
    return found ? std::optional<Value>(Value(found)) : std::nullopt;
}

void Document::Free::operator()(yyjson_doc* document) const {
    yyjson_doc_free(document);
}

Document Document::parse(std::string_view content) {
    if (content.size() > kMostBytes) {
        throw DocumentError("it has more than " + text::grouped(kMostBytes) + " bytes");
    }
    const auto values = std::count_if(content.begin(), content.end(),
                                      [](char each) { return each == ',' || each == '[' || each == '{'; });
    if (static_cast<std::size_t>(values) > kMostValues) {
        throw DocumentError("it has more than " + text::grouped(kMostValues) + " values");
    }
    constexpr yyjson_read_flag flags = YYJSON_READ_NUMBER_AS_RAW | YYJSON_READ_ALLOW_INF_AND_NAN;
    yyjson_read_err error{};
    // Without the flag for it, the text is only read.
    Document document(
        yyjson_read_opts(const_cast<char*>(content.data()), content.size(), flags, nullptr, &error));
    if (!document.document_) {
        const bool half =
            std::string_view(error.msg ? error.msg : "").find("surrogate") != std::string_view::npos;
        throw DocumentError(half ? "it has a text with half of a surrogate pair" : "it is not JSON");
    }
    check(yyjson_doc_get_root(document.document_.get()), kMostDepth);
    return document;
}

Document Document::read(const std::string& path) {
    return parse(files::read(path, kMostBytes));
}

Value Document::root() const {
    return Value(yyjson_doc_get_root(document_.get()));
}

std::string shown(const Value& value) {
    switch (value.type()) {
        case Type::list:
            return "a list of " + std::to_string(value.size());
        case Type::object:
            return "an object of " + std::to_string(value.size());
        case Type::text:
            return text::cut(text::quoted(value.text()));
        default:
            return text::cut(canonical(value));
    }
}

std::string canonical(const Value& value, const std::vector<std::string_view>& without) {
    std::string out;
    write(value, without, out);
    return out;
}

}  // namespace w2vc::json
