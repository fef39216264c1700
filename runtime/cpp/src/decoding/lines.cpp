#include "decoding/lines.hpp"

#ifdef W2VC_ZLIB
#include <zlib.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "decoding/decoder.hpp"

namespace w2vc::decoding {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;
constexpr std::size_t kLongestLine = std::size_t{1} << 20;

[[noreturn]] void fail(const std::string& path, int error) {
    throw Error("cannot read " + path + ": " + std::generic_category().message(error));
}

#ifdef W2VC_ZLIB

struct CloseGzip {
    void operator()(gzFile file) const { gzclose(file); }
};

// zlib reads a file that is not gzip as it is.
class FileLines final : public Lines {
  public:
    explicit FileLines(const std::string& path) : path_(path) {
        errno = 0;
        file_.reset(gzopen(path.c_str(), "rb"));
        if (!file_) {
            fail(path_, errno == 0 ? ENOMEM : errno);
        }
        gzbuffer(file_.get(), static_cast<unsigned>(kChunk));
    }

  protected:
    std::size_t read(char* target, std::size_t size) override {
        const int count = gzread(file_.get(), target, static_cast<unsigned>(size));
        int error = Z_OK;
        const char* message = gzerror(file_.get(), &error);
        if (error == Z_ERRNO) {
            fail(path_, errno);
        }
        if (count < 0 || error == Z_BUF_ERROR) {
            throw Error("cannot read " + path_ + ": its compressed data is damaged or cut off (" + message +
                        ")");
        }
        return static_cast<std::size_t>(count);
    }

  private:
    std::string path_;
    std::unique_ptr<gzFile_s, CloseGzip> file_;
};

#else

struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
};

class FileLines final : public Lines {
  public:
    explicit FileLines(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "rb")) {
        if (!file_) {
            fail(path_, errno);
        }
    }

  protected:
    std::size_t read(char* target, std::size_t size) override {
        const std::size_t count = std::fread(target, 1, size, file_.get());
        if (std::ferror(file_.get()) != 0) {
            fail(path_, errno);
        }
        if (!started_ && count > 1 && target[0] == '\x1f' && target[1] == '\x8b') {
            throw Error(path_ + " is compressed, and this build has no zlib; expected an uncompressed file");
        }
        started_ = true;
        return count;
    }

  private:
    std::string path_;
    std::unique_ptr<std::FILE, CloseFile> file_;
    bool started_ = false;
};

#endif

class TextLines final : public Lines {
  public:
    explicit TextLines(std::string_view text) : text_(text) {}

  protected:
    std::size_t read(char* target, std::size_t size) override {
        const std::size_t count = std::min(size, text_.size());
        std::memcpy(target, text_.data(), count);
        text_.remove_prefix(count);
        return count;
    }

  private:
    std::string_view text_;
};

}  // namespace

bool Lines::next(std::string_view& line) {
    for (;;) {
        const char* start = buffer_.data() + begin_;
        const void* found = begin_ == end_ ? nullptr : std::memchr(start, '\n', end_ - begin_);
        if (found != nullptr || (finished_ && begin_ != end_)) {
            const std::size_t size = found != nullptr
                                         ? static_cast<std::size_t>(static_cast<const char*>(found) - start)
                                         : end_ - begin_;
            line = {start, size};
            begin_ = std::min(end_, begin_ + size + 1);
            ++number_;
            if (!line.empty() && line.back() == '\r') {
                line.remove_suffix(1);
            }
            return true;
        }
        if (finished_) {
            return false;
        }
        if (end_ - begin_ > kLongestLine) {
            throw Error("line " + std::to_string(number_ + 1) + " is longer than " +
                        std::to_string(kLongestLine) + " bytes; expected an n-gram a line");
        }
        if (begin_ != end_) {
            std::memmove(buffer_.data(), start, end_ - begin_);
        }
        end_ -= begin_;
        begin_ = 0;
        buffer_.resize(std::max(buffer_.size(), end_ + kChunk));
        const std::size_t count = read(buffer_.data() + end_, kChunk);
        finished_ = count == 0;
        end_ += count;
    }
}

std::unique_ptr<Lines> open_lines(const std::string& path) {
    return std::make_unique<FileLines>(path);
}

std::unique_ptr<Lines> lines_of(std::string_view text) {
    return std::make_unique<TextLines>(text);
}

}  // namespace w2vc::decoding
