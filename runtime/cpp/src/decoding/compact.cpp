#include "decoding/compact.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kChecksumStart = offsetof(CompactHeader, checksum) + sizeof(CompactHeader::checksum);
static_assert(kChecksumStart % 8 == 0, "the checksum is taken over words of 8 bytes");

constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15U;

inline void take(std::uint64_t& lane, const std::uint8_t* data) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, sizeof word);
    lane = (lane ^ word) * kPrime;
    lane ^= lane >> 29U;
}

// Four lanes of multiply and shift, which a processor does at once: damage, not malice, is what it finds. The
// size is of whole words of 8 bytes.
std::uint64_t checksum_of(const std::uint8_t* data, std::size_t size) {
    std::uint64_t first = 1;
    std::uint64_t second = 2;
    std::uint64_t third = 3;
    std::uint64_t fourth = 4;
    std::size_t at = 0;
    for (; at + 32 <= size; at += 32) {
        take(first, data + at);
        take(second, data + at + 8);
        take(third, data + at + 16);
        take(fourth, data + at + 24);
    }
    for (; at + 8 <= size; at += 8) {
        take(first, data + at);
    }
    std::uint64_t sum = size;
    for (const std::uint64_t lane : {first, second, third, fourth}) {
        sum = (sum ^ lane) * kPrime;
        sum ^= sum >> 32U;
    }
    return sum;
}

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

}  // namespace

bool is_compact(std::string_view start) {
    return start.size() >= sizeof kCompactMagic &&
           std::memcmp(start.data(), kCompactMagic, sizeof kCompactMagic) == 0;
}

CompactView view_compact(const Mapping& mapping, const std::string& name, bool checksum) {
    const auto damaged = [&](const std::string& what) {
        return Error(name + " is damaged: " + what +
                     "; expected a language model as it was compiled, compile it anew");
    };
    const std::uint8_t* data = mapping.data();
    if (mapping.size() < sizeof(CompactHeader) || !is_compact({reinterpret_cast<const char*>(data), 8})) {
        throw Error(name + " is no compiled language model; expected one, or an ARPA file");
    }
    const auto* header = reinterpret_cast<const CompactHeader*>(data);
    if (header->version != kCompactVersion) {
        throw Error(name + " is a language model of version " + std::to_string(header->version) +
                    "; expected " + std::to_string(kCompactVersion) + ", compile it anew");
    }
    if (header->size != mapping.size()) {
        throw damaged("it has " + std::to_string(mapping.size()) + " bytes of " +
                      std::to_string(header->size));
    }
    const std::uint64_t limit = mapping.size();
    if (header->words > limit || header->word_bytes > limit || header->nodes > limit ||
        header->leaves > limit) {
        throw damaged("its counts are larger than the file");
    }
    std::uint64_t offset = sizeof(CompactHeader);
    const auto section = [&](std::uint64_t bytes) {
        const std::uint64_t start = offset;
        offset += (bytes + 7) / 8 * 8;
        return data + std::min(start, limit);
    };
    const auto integers = [&](std::uint64_t count) {
        return reinterpret_cast<const std::uint32_t*>(section(count * 4));
    };
    const auto floats = [&](std::uint64_t count) {
        return reinterpret_cast<const float*>(section(count * 4));
    };
    CompactView view;
    view.header = header;
    view.word_offsets = integers(header->words + 1);
    view.word_bytes = reinterpret_cast<const char*>(section(header->word_bytes));
    view.word = integers(header->nodes);
    view.probability = floats(header->nodes);
    view.backoff = floats(header->nodes);
    view.first_child = integers(header->nodes + 1);
    view.suffix = integers(header->nodes);
    view.leaf_word = integers(header->leaves);
    view.leaf_probability = floats(header->leaves);
    view.leaf_suffix = integers(header->leaves);
    if (offset != limit) {
        throw damaged("its sections do not fill it");
    }
    const bool sound = header->order >= 1 && header->order <= kMaximumOrder && header->words >= 1 &&
                       header->nodes > header->words && header->unknown < header->words &&
                       header->has_bounds <= 1 && header->begin < header->words &&
                       header->end < header->words && header->first_parent_of_leaves <= header->nodes;
    if (!sound) {
        throw damaged("its header makes no sense");
    }
    if (checksum && checksum_of(data + kChecksumStart, mapping.size() - kChecksumStart) != header->checksum) {
        throw damaged("its checksum is another");
    }
    return view;
}

void seal_compact(std::uint8_t* data, std::size_t size) {
    const std::uint64_t sum = checksum_of(data + kChecksumStart, size - kChecksumStart);
    std::memcpy(data + offsetof(CompactHeader, checksum), &sum, sizeof sum);
}

void write_file(const Mapping& mapping, const std::string& path) {
    const std::string staged = path + "." + std::to_string(::getpid()) + ".tmp";
    const auto fail = [&] {
        const std::string reason = std::generic_category().message(errno);
        std::remove(staged.c_str());
        throw Error("cannot write " + path + ": " + reason);
    };
    {
        std::unique_ptr<std::FILE, Close> file(std::fopen(staged.c_str(), "wb"));
        if (!file || std::fwrite(mapping.data(), 1, mapping.size(), file.get()) != mapping.size() ||
            std::fflush(file.get()) != 0) {
            fail();
        }
    }
    if (std::rename(staged.c_str(), path.c_str()) != 0) {
        fail();
    }
}

}  // namespace w2vc::decoding
