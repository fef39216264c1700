// The compact form of an n-gram language model: a trie of words, read in place.
//
// A node is a context of words, oldest first. Node 0 is the empty context, nodes 1.. are the unigrams in the
// order of their words, then the n-grams of each order by their words. The highest order has no contexts: its
// n-grams are leaves. Children lie in a row, sorted by word; those of the last node of an order end with
// their own order. Every n-gram has a suffix link to its longest proper suffix that is a node, so that a
// state of the model is one number, and backing off follows a link. Layout, little-endian, each section
// aligned to 8 bytes:
//
//   Header
//   uint32 word_offsets[words + 1]; char word_bytes[]; the words by their bytes
//   uint32 word[nodes]; float probability[nodes]; float backoff[nodes]; uint32 first_child[nodes + 1];
//   uint32 suffix[nodes]
//   uint32 leaf_word[leaves]; float leaf_probability[leaves]; uint32 leaf_suffix[leaves]
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "decoding/arpa.hpp"
#include "decoding/mapping.hpp"

namespace w2vc::decoding {

inline constexpr char kCompactMagic[8] = {'w', '2', 'v', 'c', '-', 'l', 'm', '\0'};
inline constexpr std::uint32_t kCompactVersion = 1;

struct CompactHeader {
    char magic[8];
    std::uint64_t checksum;  // of everything after it
    std::uint32_t version;
    std::uint32_t order;
    std::uint64_t size;  // of the file in bytes
    std::uint64_t words;
    std::uint64_t word_bytes;
    std::uint64_t nodes;
    std::uint64_t leaves;
    std::uint64_t first_parent_of_leaves;  // nodes from here on have leaves for children
    std::uint32_t unknown;                 // word id of <unk>
    std::uint32_t has_bounds;              // whether <s> and </s> are words
    std::uint32_t begin;
    std::uint32_t end;
};
static_assert(sizeof(CompactHeader) == 88, "the header of a file is as long everywhere");

// Views of the sections. Every index read from them is to be checked where it is used: see LanguageModel.
struct CompactView {
    const CompactHeader* header = nullptr;
    const std::uint32_t* word_offsets = nullptr;
    const char* word_bytes = nullptr;
    const std::uint32_t* word = nullptr;
    const float* probability = nullptr;
    const float* backoff = nullptr;
    const std::uint32_t* first_child = nullptr;
    const std::uint32_t* suffix = nullptr;
    const std::uint32_t* leaf_word = nullptr;
    const float* leaf_probability = nullptr;
    const std::uint32_t* leaf_suffix = nullptr;
};

// Builds the compact form in memory. Adds <unk> where it is missing, and contexts that n-grams need.
// Throws Error on n-grams that are there twice, and on more than 32 bits can count.
Mapping compile(ArpaModel model);

// Checks magic, version, sizes and, with `checksum`, every byte. name: what errors call it. Throws Error.
CompactView view_compact(const Mapping& mapping, const std::string& name, bool checksum = true);

// Whether the bytes start as a compact model does.
bool is_compact(std::string_view start);

// Writes beside the target and renames. Throws Error.
void write_file(const Mapping& mapping, const std::string& path);

}  // namespace w2vc::decoding
