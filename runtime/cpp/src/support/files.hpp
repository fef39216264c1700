// Files: read whole, mapped, and hashed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace w2vc::files {

// The content of a regular file. Throws json::DocumentError, whose message ends a sentence about the file,
// where there is none, where it cannot be read, or has more than `most` bytes.
std::string read(const std::string& path, std::size_t most);

// Closes a file descriptor.
class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor();
    int number() const { return number_; }

  private:
    int number_;
};

// A regular file in memory, read-only; empty where it is.
class Mapped {
  public:
    // Throws std::system_error.
    explicit Mapped(const std::string& path);
    Mapped(const Mapped&) = delete;
    Mapped& operator=(const Mapped&) = delete;
    ~Mapped();
    std::string_view content() const { return {static_cast<const char*>(address_), size_}; }

  private:
    void* address_ = nullptr;
    std::size_t size_ = 0;
};

// sha256 of bytes, as 64 hexadecimal digits.
std::string sha256(std::string_view content);

}  // namespace w2vc::files
