#include "decoding/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {
namespace {

class Descriptor {
  public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor() {
        if (value_ >= 0) {
            ::close(value_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return value_; }

  private:
    int value_;
};

[[noreturn]] void fail(const std::string& path) {
    throw Error("cannot read " + path + ": " + std::generic_category().message(errno));
}

// In bytes, of a regular file.
std::size_t size_of(const Descriptor& file, const std::string& path) {
    struct stat status {};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
        fail(path);
    }
    if (!S_ISREG(status.st_mode)) {
        throw Error(path + " is not a file; expected a language model");
    }
    return static_cast<std::size_t>(status.st_size);
}

}  // namespace

std::string start_of_file(const std::string& path, std::size_t size) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string start(std::min(size, size_of(file, path)), '\0');
    const ssize_t count = ::read(file.get(), start.data(), start.size());
    if (count < 0) {
        fail(path);
    }
    start.resize(static_cast<std::size_t>(count));
    return start;
}

Mapping::Mapping(std::vector<std::uint64_t> words, std::size_t size)
    : words_(std::move(words)), size_(size) {}

Mapping Mapping::of_file(const std::string& path) {
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    const std::size_t size = size_of(file, path);
    Mapping mapping;
    if (size != 0) {
        // All of it is read at once, for its checksum.
        void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file.get(), 0);
        if (address == MAP_FAILED) {
            fail(path);
        }
        mapping.address_ = address;
        mapping.size_ = size;
    }
    return mapping;
}

Mapping::Mapping(Mapping&& other) noexcept {
    *this = std::move(other);
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(words_, other.words_);
    std::swap(size_, other.size_);
    return *this;
}

Mapping::~Mapping() {
    if (address_ != nullptr) {
        ::munmap(address_, size_);
    }
}

const std::uint8_t* Mapping::data() const {
    return address_ != nullptr ? static_cast<const std::uint8_t*>(address_)
                               : reinterpret_cast<const std::uint8_t*>(words_.data());
}

}  // namespace w2vc::decoding
