// What one transformer of a cascade hands to the next (DVT, sections 3.2 and 3.3), in few passes over memory: the
// mixing of attention logits with its GELU between, the contexts of all blocks, and the interpolation of both.
// Plain C++ with the vector extensions of GCC and Clang; benchmark/layers/native.py compiles it for this processor.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>

namespace {

// A product keeps R x P sums in registers: 24 of 32 vectors, or 12 of 16.
#if defined(__AVX512F__)
constexpr int W = 16, P = 32, R = 12;
#elif defined(__AVX__)
constexpr int W = 8, P = 16, R = 6;
#else
constexpr int W = 4, P = 8, R = 12;
#endif
constexpr int REST = R / 3;  // rows come in blocks of R, and what is left in blocks of REST

typedef float vec __attribute__((vector_size(4 * W)));
typedef float anywhere __attribute__((vector_size(4 * W), aligned(4), may_alias));  // the same in memory, unaligned

inline vec splat(float x) { return x - vec{}; }
inline vec load(const float *from) { return *reinterpret_cast<const anywhere *>(from); }
inline void store(float *to, vec x) { *reinterpret_cast<anywhere *>(to) = x; }
// P numbers, or the first `count` of them where a tile is cut off.
inline void copy_tile(float *to, const float *from, long count) {
    if (count == P)
        for (int j = 0; j < P; j += W) store(to + j, load(from + j));
    else std::memcpy(to, from, 4 * count);
}
constexpr long up_to(long count, long step) { return (count + step - 1) / step * step; }

// Numbers to work on, aligned, with slack behind them: whole vectors may be read there.
struct Room {
    std::unique_ptr<float[]> own;
    float *at;
    explicit Room(long count) : own(new float[count + 32]) {
        at = reinterpret_cast<float *>((reinterpret_cast<std::uintptr_t>(own.get()) + 63) & ~std::uintptr_t(63));
    }
};

// x * Phi(x), within 1e-7 of |x| as torch's: Phi - 1/2 is x times a polynomial of x * x (Chebyshev interpolation,
// degree 14, on |x| <= 5.4; beyond, Phi rounds to 1 and is taken to be 0).
constexpr float EDGE = 5.4f;
constexpr float POLYNOMIAL[15] = {1.309281099e-01f, -6.532812046e-02f, 4.849992709e-02f, -3.920469192e-02f, 3.211010641e-02f, -2.576570775e-02f, 1.969082367e-02f, -1.388948990e-02f, 9.501340489e-03f, -6.851442238e-03f, 3.907151347e-03f, -1.067080573e-03f, 6.736794145e-04f, -1.068300936e-03f, 4.562899901e-04f};

inline vec gelu(vec x) {
    vec c = x < splat(-EDGE) ? splat(-EDGE) : x;
    c = c > splat(EDGE) ? splat(EDGE) : c;
    const vec s = c * c * splat(2 / (EDGE * EDGE)) - splat(1);
    vec y = splat(POLYNOMIAL[14]);
#pragma GCC unroll 14
    for (int i = 13; i >= 0; i--) y = y * s + splat(POLYNOMIAL[i]);
    return x < splat(-EDGE) ? vec{} : x * (splat(0.5f) + c * y);
}

template <int rows, bool active>
inline void block(const float *weight, const float *bias, const float *in, long k, float *out) {
    vec sum[rows][P / W];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < P / W; j++) sum[i][j] = splat(bias[i]);
    for (long q = 0; q < k; q++) {
        vec x[P / W];
        for (int j = 0; j < P / W; j++) x[j] = load(in + q * P + j * W);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < P / W; j++) sum[i][j] += splat(weight[q * rows + i]) * x[j];
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < P / W; j++) store(out + i * P + j * W, active ? gelu(sum[i][j]) : sum[i][j]);
}

// out (rows, P) = weight (rows, k) in (k, P) + bias, then GELU where active; the weight in blocks of (k, R) or (k, REST).
template <bool active>
void product(const float *weight, const float *bias, const float *in, long k, long rows, float *out) {
    long r = 0;
    for (; r + R <= rows; r += R) block<R, active>(weight + r * k, bias + r, in, k, out + r * P);
    for (; r < rows; r += REST) block<REST, active>(weight + r * k, bias + r, in, k, out + r * P);
}

inline float sum_of(vec x) {
    float sum = 0;
    for (int i = 0; i < W; i++) sum += x[i];
    return sum;
}

// Mean of n numbers, and one over their standard deviation.
struct Moments {
    float mean, by;
    Moments(const float *x, long n, float eps) {
        vec sums{}, squares{};
        float sum = 0, square = 0;
        long c = 0;
        for (; c + W <= n; c += W) sums += load(x + c);
        for (long d = c; d < n; d++) sum += x[d];
        mean = (sum_of(sums) + sum) / n;
        for (c = 0; c + W <= n; c += W) squares += (load(x + c) - splat(mean)) * (load(x + c) - splat(mean));
        for (; c < n; c++) square += (x[c] - mean) * (x[c] - mean);
        by = 1 / std::sqrt((sum_of(squares) + square) / n + eps);
    }
};

template <int s, int... k>
inline void exchange(vec &a, vec &b, std::integer_sequence<int, k...>) {
    const vec first = __builtin_shufflevector(a, b, ((k & s) ? W + k - s : k)...);
    b = __builtin_shufflevector(a, b, ((k & s) ? W + k : k + s)...);
    a = first;
}

template <int s>
inline void exchanges(vec *rows) {
    if constexpr (s > 0) {
        for (int i = 0; i < W; i++)
            if (!(i & s)) exchange<s>(rows[i], rows[i + s], std::make_integer_sequence<int, W>());
        exchanges<s / 2>(rows);
    }
}

// to (columns, rows) = from (rows, columns) transposed; whole squares of W are read and written.
void transpose(const float *from, long from_stride, float *to, long to_stride, long rows, long columns) {
    for (long r = 0; r < rows; r += W)
        for (long c = 0; c < columns; c += W) {
            vec square[W];
#pragma GCC unroll 16
            for (int i = 0; i < W; i++) square[i] = load(from + (r + i) * from_stride + c);
            exchanges<W / 2>(square);
#pragma GCC unroll 16
            for (int i = 0; i < W; i++) store(to + (c + i) * to_stride + r, square[i]);
        }
}

// The interpolation: fine row i is the sum over four taps of weight[4i + n] times coarse row index[4i + n]. Taps of
// weight 0 come last.
struct Taps {
    const std::int32_t *index;
    const float *weight;
};

template <int count>
inline vec tapped(const float *coarse, long stride, const std::int32_t *index, const float *weight) {
    vec sum = splat(weight[0]) * load(coarse + index[0] * stride);
    for (int n = 1; n < count; n++) sum += splat(weight[n]) * load(coarse + index[n] * stride);
    return sum;
}

template <int count>
inline void fine_row(const float *coarse, long stride, const std::int32_t *index, const float *weight, float *to, long n) {
    long c = 0;
    for (; c + W <= n; c += W) store(to + c, tapped<count>(coarse + c, stride, index, weight));
    if (c == n) return;
    if (n > W) store(to + n - W, tapped<count>(coarse + n - W, stride, index, weight));  // some numbers twice
    else {
        const vec some = tapped<count>(coarse, stride, index, weight);
        std::memcpy(to, &some, 4 * n);
    }
}

// to (fine, n) with rows `to_stride` apart, from coarse rows `stride` apart.
void interpolate(const float *coarse, long stride, Taps taps, long fine, float *to, long to_stride, long n) {
    for (long i = 0; i < fine; i++) {
        const std::int32_t *index = taps.index + 4 * i;
        const float *weight = taps.weight + 4 * i;
        if (weight[1] == 0) fine_row<1>(coarse, stride, index, weight, to + i * to_stride, n);
        else if (weight[2] == 0) fine_row<2>(coarse, stride, index, weight, to + i * to_stride, n);
        else fine_row<4>(coarse, stride, index, weight, to + i * to_stride, n);
    }
}

}  // namespace

extern "C" {

int rows_in_registers() { return R; }

// Attention logits mixed over L blocks and H heads: maps L x (b, H, n), whose images and heads are so many numbers apart,
// -> mixed (b, L * H, n), through `hidden` rows.
void mix(const float *const *maps, long apart, long heads_apart, long b, long L, long H, long n, long hidden, const float *w1, const float *b1,
         const float *w2, const float *b2, float *mixed, int threads) {
    const long channels = L * H, padded = up_to(channels, REST), tiles = up_to(n, P) / P;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Room room((channels + hidden + padded) * P);
        float *in = room.at, *between = in + channels * P, *out = between + hidden * P;
        std::memset(in, 0, 4 * channels * P);
#pragma omp for schedule(static)
        for (long tile = 0; tile < b * tiles; tile++) {
            const long image = tile / tiles, at = tile % tiles * P, count = std::min(n - at, long(P));
            for (long l = 0, c = 0; l < L; l++)
                for (long h = 0; h < H; h++, c++) copy_tile(in + c * P, maps[l] + image * apart + h * heads_apart + at, count);
            product<true>(w1, b1, in, channels, hidden, between);
            product<false>(w2, b2, between, hidden, padded, out);
            for (long c = 0; c < channels; c++) copy_tile(mixed + (image * channels + c) * n + at, out + c * P, count);
        }
    }
}

// Mixed logits (b, channels, t, t), of which H channels from `first` on -> (b, H, f, f), rows and columns interpolated.
// Behind `mixed` there is room to read another W rows of t.
void fine_maps(const float *mixed, long b, long channels, long first, long H, long t, long f,
               const std::int32_t *index, const float *weight, float *out, int threads) {
    const long tw = up_to(t, W), fw = up_to(f, W);
    const Taps taps{index, weight};
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Room room(tw * tw + fw * tw + tw * fw);
        float *turned = room.at, *columns = turned + tw * tw, *back = columns + fw * tw;
#pragma omp for schedule(static)
        for (long map = 0; map < b * H; map++) {
            const float *from = mixed + (map / H * channels + first + map % H) * t * t;
            transpose(from, t, turned, tw, t, t);
            interpolate(turned, tw, taps, f, columns, tw, tw);  // (f, t): columns are fine
            transpose(columns, tw, back, fw, f, t);
            interpolate(back, fw, taps, f, out + map * f * f, f, f);
        }
    }
}

// Features (b, t, width), their class tokens left out -> contexts (L, b, t - 1, reuse): a normalisation without scale
// and shift, then for each block its own layer to `hidden` (padded to REST) numbers, GELU, and its layer to `reuse`.
// Tiles go in groups, so that a block's weights are read once for all of a group.
void contexts(const float *features, long b, long t, long width, float eps, long L, long hidden, long reuse,
              const float *w1, const float *b1, const float *w2, const float *b2, float *out, int threads) {
    const long tokens = b * (t - 1), tiles = up_to(tokens, P) / P, wide = up_to(width, W), rows = up_to(reuse, REST);
    const long end = up_to(rows, W), group = std::min(8L, up_to(tiles, threads) / threads);
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Room room(P * wide + group * wide * P + hidden * P + end * P + P * end);
        float *normed = room.at, *in = normed + P * wide, *between = in + group * wide * P;
        float *after = between + hidden * P, *turned = after + end * P;
        std::memset(room.at, 0, 4 * (P * wide + group * wide * P + hidden * P + end * P));
#pragma omp for schedule(static)
        for (long start = 0; start < tiles; start += group) {
            const long stop = std::min(tiles, start + group);
            for (long tile = start; tile < stop; tile++) {
                const long at = tile * P, count = std::min(tokens - at, long(P));
                for (long i = 0; i < count; i++) {
                    const float *x = features + ((at + i) / (t - 1) * t + 1 + (at + i) % (t - 1)) * width;
                    const Moments of(x, width, eps);
                    for (long c = 0; c < width; c++) normed[i * wide + c] = (x[c] - of.mean) * of.by;
                }
                transpose(normed, wide, in + (tile - start) * wide * P, P, P, width);
            }
            for (long l = 0; l < L; l++)
                for (long tile = start; tile < stop; tile++) {
                    const long at = tile * P, count = std::min(tokens - at, long(P));
                    const float *own = in + (tile - start) * wide * P;
                    product<true>(w1 + l * hidden * width, b1 + l * hidden, own, width, hidden, between);
                    product<false>(w2 + l * rows * hidden, b2 + l * rows, between, hidden, rows, after);
                    transpose(after, P, turned, end, rows, P);
                    for (long i = 0; i < count; i++)
                        std::memcpy(out + (l * tokens + at + i) * reuse, turned + i * end, 4 * reuse);
                }
        }
    }
}

// Layer norm of tokens x (b, f, width) beside one block's contexts (b, t - 1, reuse), interpolated; zeros stand beside
// the class token -> (b, f, width + reuse). Behind `coarse` there is room to read another W numbers.
void normed_beside(const float *x, const float *coarse, long b, long f, long t, long width, long reuse,
                   const std::int32_t *index, const float *weight, const float *scale, const float *shift, float eps,
                   float *out, int threads) {
    const long wide = width + reuse;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
    for (long image = 0; image < b; image++) {
        const float *from = x + image * f * width, *context = coarse + image * (t - 1) * reuse;
        float *to = out + image * f * wide;
        std::memset(to + width, 0, 4 * reuse);
        // The taps count the class token, which the contexts leave out.
        interpolate(context - reuse, reuse, Taps{index + 4, weight + 4}, f - 1, to + wide + width, wide, reuse);
        for (long token = 0; token < f; token++, from += width, to += wide) {
            std::memcpy(to, from, 4 * width);
            const Moments of(to, wide, eps);
            long c = 0;
            for (; c + W <= wide; c += W)
                store(to + c, (load(to + c) - splat(of.mean)) * splat(of.by) * load(scale + c) + load(shift + c));
            for (; c < wide; c++) to[c] = (to[c] - of.mean) * of.by * scale[c] + shift[c];
        }
    }
}

}  // extern "C"
