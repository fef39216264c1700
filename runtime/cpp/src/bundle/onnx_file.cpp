// An ONNX file is a message of protocol buffers: fields, each a number, a sort, and a value. Those that hold
// other messages are followed to every tensor, whose external_data may name a file, and to every node
// EPContext. Source of the numbers: onnx.proto. What real files have no use for, and readers may take in
// different ways, is refused.
#include "bundle/onnx_file.hpp"

#include <array>
#include <cstdint>
#include <system_error>
#include <vector>

#include "support/files.hpp"
#include "support/text.hpp"

namespace w2vc::bundle {
namespace {

enum class Message { none, model, training, graph, function, node, attribute, sparse_tensor, tensor, entry };
enum Sort : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
constexpr std::uint64_t kIrVersion = 1, kGraph = 7, kKey = 1, kValue = 2, kOperator = 4, kAttribute = 5;
constexpr std::uint64_t kAttributeName = 1, kAttributeText = 4;
constexpr std::size_t kLongestVarint = 10;

Message inner(Message message, std::uint64_t number) {
    switch (message) {
        case Message::model:
            return number == 7    ? Message::graph
                   : number == 20 ? Message::training
                   : number == 25 ? Message::function
                                  : Message::none;
        case Message::training:
            return number == 1 || number == 2 ? Message::graph : Message::none;
        case Message::graph:
            return number == 1    ? Message::node
                   : number == 5  ? Message::tensor
                   : number == 15 ? Message::sparse_tensor
                                  : Message::none;
        case Message::function:
            return number == 7 ? Message::node : number == 11 ? Message::attribute : Message::none;
        case Message::node:
            return number == 5 ? Message::attribute : Message::none;
        case Message::attribute:
            return number == 5 || number == 10    ? Message::tensor
                   : number == 6 || number == 11  ? Message::graph
                   : number == 22 || number == 23 ? Message::sparse_tensor
                                                  : Message::none;
        case Message::sparse_tensor:
            return number == 1 || number == 2 ? Message::tensor : Message::none;
        case Message::tensor:
            return number == 13 ? Message::entry : Message::none;
        default:
            return Message::none;
    }
}

std::string at(std::size_t place) {
    return text::grouped(static_cast<std::int64_t>(place));
}

struct Field {
    std::uint64_t number = 0;
    std::uint64_t sort = 0;
    std::size_t first = 0, last = 0;  // where the value is
};

class Fields {
  public:
    Fields(std::string_view content, std::size_t start, std::size_t end)
        : content_(content), place_(start), end_(end) {}

    bool next(Field& field) {
        if (place_ >= end_) return false;
        const std::uint64_t key = varint();
        field.number = key >> 3;
        field.sort = key & 7;
        field.first = place_;
        std::uint64_t size = 0;
        switch (field.sort) {
            case kVarint:
                varint();
                break;
            case kBytes:
                size = varint();
                field.first = place_;
                break;
            case kFixed64:
                size = 8;
                break;
            case kFixed32:
                size = 4;
                break;
            default:
                throw OnnxFileError("byte " + at(field.first) + " is of no field");
        }
        if (size > end_ - place_ || !field.number) {
            throw OnnxFileError("the field at byte " + at(field.first) + " is longer than what it is in");
        }
        place_ += static_cast<std::size_t>(size);
        field.last = place_;
        return true;
    }

  private:
    // Seven bits a byte, the lowest first.
    std::uint64_t varint() {
        const std::size_t start = place_;
        std::uint64_t value = 0;
        for (std::size_t index = 0; index < kLongestVarint && place_ < end_; ++index) {
            const auto byte = static_cast<unsigned char>(content_[place_++]);
            value |= std::uint64_t{byte & 0x7Fu} << (7 * index);
            if (byte < 0x80) {
                // Past 64 bits a reader may cut it in another way.
                if (index == kLongestVarint - 1 && byte > 1) break;
                return value;
            }
        }
        throw OnnxFileError("the number at byte " + at(start) + " does not end");
    }

    std::string_view content_;
    std::size_t place_, end_;
};

// What a node EPContext wraps.
void collect_plans(std::string_view content, const Field& node, std::set<std::string>& plans) {
    bool found = false;
    Fields fields(content, node.first, node.last);
    for (Field field; fields.next(field);) {
        if (field.number != kAttribute || field.sort != kBytes) continue;
        bool context = false;
        std::vector<std::string> named;
        Fields texts(content, field.first, field.last);
        for (Field each; texts.next(each);) {
            if (each.sort != kBytes) continue;
            const std::string_view value = content.substr(each.first, each.last - each.first);
            if (each.number == kAttributeName && value == "ep_cache_context") context = true;
            if (each.number == kAttributeText) named.emplace_back(value);
        }
        if (!context) continue;
        found = found || !named.empty();
        plans.insert(named.begin(), named.end());
    }
    if (!found) plans.insert("");
}

struct Waiting {
    Message message;
    Field field;
};

void follow(std::string_view content, const Waiting& waiting, std::vector<Waiting>& more, References& found) {
    bool location = false, context = false;
    std::set<std::string> values;
    Fields fields(content, waiting.field.first, waiting.field.last);
    for (Field field; fields.next(field);) {
        if (field.sort != kBytes) continue;
        const Message message = inner(waiting.message, field.number);
        if (message != Message::none) more.push_back({message, field});
        const std::string_view value = content.substr(field.first, field.last - field.first);
        if (waiting.message == Message::entry && field.number == kKey) location |= value == "location";
        if (waiting.message == Message::entry && field.number == kValue) values.emplace(value);
        if (waiting.message == Message::node && field.number == kOperator) context |= value == "EPContext";
    }
    if (location) {
        if (values.empty()) values.insert("");
        found.data.insert(values.begin(), values.end());
    }
    if (context) collect_plans(content, waiting.field, found.plans);
}

}  // namespace

References references_in(std::string_view content) {
    bool version = false, graph = false;
    Fields fields(content, 0, content.size());
    for (Field field; fields.next(field);) {
        if (field.number == kIrVersion) version = field.sort == kVarint;
        if (field.number == kGraph) graph = field.sort == kBytes;
    }
    if (!version || !graph) throw OnnxFileError("it has no version and no graph");
    References found;
    std::vector<Waiting> waiting = {{Message::model, {0, kBytes, 0, content.size()}}};
    while (!waiting.empty()) {
        const Waiting now = waiting.back();
        waiting.pop_back();
        follow(content, now, waiting, found);
    }
    return found;
}

References references(const std::string& path) {
    try {
        const files::Mapped file(path);
        if (file.content().empty()) throw OnnxFileError("it cannot be read (cannot mmap an empty file)");
        return references_in(file.content());
    } catch (const std::system_error& error) {
        throw OnnxFileError("it cannot be read (" + error.code().message() + ")");
    }
}

}  // namespace w2vc::bundle
