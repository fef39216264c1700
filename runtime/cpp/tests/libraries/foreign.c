/* Another library. */
int nothing_of_onnx_runtime(void);

int nothing_of_onnx_runtime(void) {
    return 0;
}
