// Read-only bytes: a file that is mapped, or a buffer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace w2vc::decoding {

// Owns its bytes, aligned to 8. Moves, does not copy. A mapped file must not shrink while it is in use.
class Mapping {
  public:
    Mapping() = default;
    explicit Mapping(std::vector<std::uint64_t> words, std::size_t size);
    // Throws Error where the file cannot be mapped.
    static Mapping of_file(const std::string& path);

    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    const std::uint8_t* data() const;
    std::size_t size() const { return size_; }

  private:
    void* address_ = nullptr;
    std::vector<std::uint64_t> words_;
    std::size_t size_ = 0;
};

// The first `size` bytes of a file, or all of a shorter one. Throws Error where it is none or cannot be read.
std::string start_of_file(const std::string& path, std::size_t size);

}  // namespace w2vc::decoding
