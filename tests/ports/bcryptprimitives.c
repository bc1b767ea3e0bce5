/* Rust's std takes its random numbers from this library of Windows 10. Wine 8 does not have it. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T bytes) {
  return RtlGenRandom(data, (ULONG)bytes);
}
