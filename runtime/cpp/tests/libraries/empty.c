/* Has the function, and nothing behind it. */
#include <stddef.h>

const void* OrtGetApiBase(void);

const void* OrtGetApiBase(void) {
    return NULL;
}
