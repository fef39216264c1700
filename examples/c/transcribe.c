/* Transcribes a recording: transcribe BUNDLE RECORDING.wav
 *
 * The bundle is one of head ctc; the recording is WAV, 16-bit, mono, at the model's rate. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <w2vc/w2vc.h>

static unsigned number(const unsigned char* bytes, int count) {
    unsigned value = 0;
    while (count--) value = value << 8 | bytes[count];
    return value;
}

/* The samples of a WAV file of 16-bit mono at some rate, which the caller frees; NULL where it is none. */
static float* read_wav(const char* path, unsigned rate, size_t* count) {
    unsigned char header[12], chunk[8], format[16] = {0}, sample[2];
    float* samples = NULL;
    FILE* file = fopen(path, "rb");
    if (!file) return NULL;
    if (fread(header, 1, 12, file) == 12 && !memcmp(header, "RIFF", 4) && !memcmp(header + 8, "WAVE", 4)) {
        while (!samples && fread(chunk, 1, 8, file) == 8) {
            const unsigned size = number(chunk + 4, 4);
            const int fits = number(format, 2) == 1 && number(format + 2, 2) == 1 &&
                             number(format + 4, 4) == rate && number(format + 14, 2) == 16;
            if (!memcmp(chunk, "fmt ", 4) && size >= 16) {
                if (fread(format, 1, 16, file) != 16 || fseek(file, (long)(size - 16 + size % 2), SEEK_CUR))
                    break;
            } else if (!memcmp(chunk, "data", 4) && fits) {
                samples = malloc(size / 2 * sizeof *samples + 1);
                for (*count = 0; samples && *count < size / 2 && fread(sample, 1, 2, file) == 2; ++*count) {
                    const int value = (int)number(sample, 2);
                    samples[*count] = (float)(value < 32768 ? value : value - 65536) / 32768.0f;
                }
            } else if (fseek(file, (long)(size + size % 2), SEEK_CUR)) {
                break;
            }
        }
    }
    fclose(file);
    return samples;
}

int main(int argc, char** argv) {
    w2vc_model* model = NULL;
    w2vc_result* result = NULL;
    w2vc_error error = {W2VC_OK, ""};
    float* samples = NULL;
    size_t count = 0, index;
    w2vc_span word;

    if (argc != 3) {
        fprintf(stderr, "usage: %s BUNDLE RECORDING.wav\n", argv[0]);
        return 2;
    }
    if (w2vc_model_load(argv[1], NULL, &model, &error) == W2VC_OK) {
        samples = read_wav(argv[2], w2vc_model_sample_rate(model), &count);
        if (!samples) {
            snprintf(error.message, sizeof error.message, "%.300s is not WAV of 16 bits, mono, at %u Hz",
                     argv[2], (unsigned)w2vc_model_sample_rate(model));
        } else if (w2vc_run(model, NULL, samples, count, &result, &error) == W2VC_OK) {
            printf("%s\n", w2vc_result_text(result));
            for (index = 0; w2vc_result_span(result, W2VC_WORDS, 0, index, &word) == W2VC_OK; ++index) {
                printf("%8.2f %8.2f  %s (%.2f)\n", word.start, word.end, word.text, word.confidence);
            }
        }
    }
    if (!result) fprintf(stderr, "transcribe: %s\n", error.message);
    index = result != NULL;
    w2vc_result_free(result);
    w2vc_model_free(model);
    free(samples);
    return index ? 0 : 2;
}
