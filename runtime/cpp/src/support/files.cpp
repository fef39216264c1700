#include "support/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "support/json.hpp"
#include "support/text.hpp"

namespace w2vc::files {

Descriptor::~Descriptor() {
    if (number_ >= 0) ::close(number_);
}

std::string read(const std::string& path, std::size_t most) {
    const auto unread = [] {
        return json::DocumentError("it cannot be read (" + std::generic_category().message(errno) + ")");
    };
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        const bool missing = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
        throw missing ? json::DocumentError("it does not exist") : unread();
    }
    if (!S_ISREG(status.st_mode)) throw json::DocumentError("it is not a file");
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.number() < 0) throw unread();
    std::string content;
    const auto expected = static_cast<std::size_t>(status.st_size);
    content.resize((expected < most ? expected : most) + 1);  // one more shows whether there is more
    std::size_t filled = 0;
    while (true) {
        if (filled == content.size()) {
            if (filled > most) break;
            content.resize(content.size() * 2 < most + 1 ? content.size() * 2 : most + 1);
        }
        const ssize_t count = ::read(file.number(), content.data() + filled, content.size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw unread();
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    if (filled > most) {
        throw json::DocumentError("it has more than " + text::grouped(static_cast<std::int64_t>(most)) +
                                  " bytes");
    }
    content.resize(filled);
    return content;
}

Mapped::Mapped(const std::string& path) {
    const auto failed = [] { return std::system_error(errno, std::generic_category()); };
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status {};
    if (file.number() < 0 || ::fstat(file.number(), &status) != 0) throw failed();
    if (status.st_size == 0) return;
    size_ = static_cast<std::size_t>(status.st_size);
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.number(), 0);
    if (address == MAP_FAILED) throw failed();
    address_ = address;
}

Mapped::~Mapped() {
    if (address_) ::munmap(address_, size_);
}

}  // namespace w2vc::files
