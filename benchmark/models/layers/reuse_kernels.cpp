// What one transformer of a cascade hands to the next (DVT, sections 3.2 and 3.3), in few passes over memory: the
// mixing of attention logits with its GELU between, attention that interpolates what it is given and hands out its own
// logits, the contexts of all blocks and their interpolation.
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

// n numbers; the last of them twice where they are no whole number of vectors.
inline void copy(float *to, const float *from, long n) {
    if (n < W) {
        std::memcpy(to, from, 4 * n);
        return;
    }
    for (long c = 0; c + W <= n; c += W) store(to + c, load(from + c));
    store(to + n - W, load(from + n - W));
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
constexpr float POLYNOMIAL[15] = {
    1.309281099e-01f, -6.532812046e-02f, 4.849992709e-02f, -3.920469192e-02f, 3.211010641e-02f,
    -2.576570775e-02f, 1.969082367e-02f, -1.388948990e-02f, 9.501340489e-03f, -6.851442238e-03f,
    3.907151347e-03f, -1.067080573e-03f, 6.736794145e-04f, -1.068300936e-03f, 4.562899901e-04f};

inline vec gelu(vec x) {
    vec c = x < splat(-EDGE) ? splat(-EDGE) : x;
    c = c > splat(EDGE) ? splat(EDGE) : c;
    const vec s = c * c * splat(2 / (EDGE * EDGE)) - splat(1);
    vec y = splat(POLYNOMIAL[14]);
#pragma GCC unroll 14
    for (int i = 13; i >= 0; i--) y = y * s + splat(POLYNOMIAL[i]);
    return x < splat(-EDGE) ? vec{} : x * (splat(0.5f) + c * y);
}

// sum (rows, vectors) += weight (rows, k) in (k, vectors); so many numbers are from one row or column to the next.
template <int rows, int vectors>
inline void multiply(vec (&sum)[rows][vectors], const float *weight, long row, long column, const float *in, long apart,
                     long k) {
    for (long q = 0; q < k; q++) {
        vec x[vectors];
        for (int j = 0; j < vectors; j++) x[j] = load(in + q * apart + j * W);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors; j++) sum[i][j] += splat(weight[i * row + q * column]) * x[j];
    }
}

template <int rows, bool active>
inline void block(const float *weight, const float *bias, const float *in, long k, float *out) {
    vec sum[rows][P / W];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < P / W; j++) sum[i][j] = splat(bias[i]);
    multiply(sum, weight, 1, rows, in, P, k);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < P / W; j++) store(out + i * P + j * W, active ? gelu(sum[i][j]) : sum[i][j]);
}

// out (rows, P) = weight (rows, k) in (k, P) + bias, then GELU where active; the weight lies in blocks of (k, R), then
// of (k, REST).
template <bool active>
void product(const float *weight, const float *bias, const float *in, long k, long rows, float *out) {
    long r = 0;
    for (; r + R <= rows; r += R) block<R, active>(weight + r * k, bias + r, in, k, out + r * P);
    for (; r < rows; r += REST) block<REST, active>(weight + r * k, bias + r, in, k, out + r * P);
}

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

template <int s, int... k>
inline vec neighbours(vec x, std::integer_sequence<int, k...>) {
    return __builtin_shufflevector(x, x, (k ^ s)...);
}

template <int s = W / 2>
inline float sum_of(vec x) {
    if constexpr (s == 0) return x[0];
    else return sum_of<s / 2>(x + neighbours<s>(x, std::make_integer_sequence<int, W>()));
}

template <int s = W / 2>
inline float largest_of(vec x) {
    if constexpr (s == 0) return x[0];
    else {
        const vec y = neighbours<s>(x, std::make_integer_sequence<int, W>());
        return largest_of<s / 2>(x < y ? y : x);
    }
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
inline void fine_row(const float *coarse, long stride, const std::int32_t *index, const float *weight, float *to,
                     long n) {
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

// One map (t, t), behind which W rows more may be read, -> (f, f) with rows `apart` numbers from each other.
struct Finer {
    long t, f, tw, fw;
    Taps taps;
    Room room;
    Finer(long t, long f, Taps taps)
        : t(t), f(f), tw(up_to(t, W)), fw(up_to(f, W)), taps(taps), room(tw * tw + fw * tw + tw * fw) {}
    void operator()(const float *from, float *to, long apart) {
        float *turned = room.at, *columns = turned + tw * tw, *back = columns + fw * tw;
        transpose(from, t, turned, tw, t, t);
        interpolate(turned, tw, taps, f, columns, tw, tw);  // (f, t): columns are fine
        transpose(columns, tw, back, fw, f, t);
        interpolate(back, fw, taps, f, to, apart, f);
    }
};

// e^x for x <= 0, within 2e-7 of itself; below -87, where it is as good as 0, e^-87.
inline vec exponential(vec x) {
    typedef int whole __attribute__((vector_size(4 * W)));
    const vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds
    x = x < splat(-87) ? splat(-87) : x;
    const vec shifted = x * splat(1.44269504f) + magic, n = shifted - magic;
    const vec r = x - n * splat(0.693145752f) - n * splat(1.42860677e-6f);
    vec y = splat(1 / 720.0f);
    for (float term : {1 / 120.0f, 1 / 24.0f, 1 / 6.0f, 0.5f, 1.0f, 1.0f}) y = y * r + splat(term);
    whole exponent, bits;
    std::memcpy(&exponent, &shifted, sizeof exponent);
    std::memcpy(&bits, &y, sizeof bits);
    bits += exponent << 23;
    std::memcpy(&y, &bits, sizeof bits);
    return y;
}

// logits (t, wide) += query (t, d) key (d, wide); rows come in blocks of R and REST, columns by two vectors or one.
template <int rows, int vectors>
inline void add_products(const float *query, const float *key, long d, long wide, float *logits) {
    vec sum[rows][vectors];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) sum[i][j] = load(logits + i * wide + j * W);
    multiply(sum, query, d, 1, key, wide, d);
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) store(logits + i * wide + j * W, sum[i][j]);
}

template <int rows>
void add_products(const float *query, const float *key, long d, long wide, float *logits) {
    long c = 0;
    for (; c + 2 * W <= wide; c += 2 * W) add_products<rows, 2>(query, key + c, d, wide, logits + c);
    if (c < wide) add_products<rows, 1>(query, key + c, d, wide, logits + c);
}

// out (rows, d) = share (rows, wide) value (t, d), each row times its `by`; only `count` of the rows are kept.
template <int rows, int vectors>
inline void mean_values(const float *share, long wide, const float *value, long apart, long t, const float *by,
                        float *out, long out_apart, long count, long d) {
    vec sum[rows][vectors] = {};
    multiply(sum, share, wide, 1, value, apart, t);
    for (int i = 0; i < rows && i < count; i++)
        for (int j = 0; j < vectors; j++) {
            const vec x = sum[i][j] * splat(by[i]);
            const long left = d - j * W;
            if (left >= W) store(out + i * out_apart + j * W, x);
            else if (left > 0) std::memcpy(out + i * out_apart + j * W, &x, 4 * left);
        }
}

template <int rows>
void mean_values(const float *share, long wide, const float *value, long apart, long t, const float *by, float *out,
                 long out_apart, long count, long d) {
    long c = 0;
    for (; c + W < d; c += 2 * W)
        mean_values<rows, 2>(share, wide, value + c, apart, t, by, out + c, out_apart, count, d - c);
    if (c < d) mean_values<rows, 1>(share, wide, value + c, apart, t, by, out + c, out_apart, count, d - c);
}

}  // namespace

extern "C" {

int rows_in_registers() { return R; }

// Attention logits mixed over L blocks and H heads: maps L x (b, H, n), whose images and heads are so many numbers
// apart, -> mixed (b, L * H, n), through `hidden` rows.
void mix(const float *const *maps, long apart, long heads_apart, long b, long L, long H, long n, long hidden,
         const float *w1, const float *b1, const float *w2, const float *b2, float *mixed, int threads) {
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
                for (long h = 0; h < H; h++, c++)
                    copy(in + c * P, maps[l] + image * apart + h * heads_apart + at, count);
            product<true>(w1, b1, in, channels, hidden, between);
            product<false>(w2, b2, between, hidden, padded, out);
            for (long c = 0; c < channels; c++) copy(mixed + (image * channels + c) * n + at, out + c * P, count);
        }
    }
}

// Attention that is given logits on a coarse grid and hands out its own: qkv (b, f, 3, H, d) and mixed logits
// (b, channels, t, t), of which H channels from `first` on are added, rows and columns interpolated (or null: none) ->
// attended (b, f, H, d), and logits (b, H, f, f), scaled and with what was given (or null: not asked for). Behind
// `mixed` there is room to read another W rows of t.
void attend(const float *qkv, const float *mixed, long b, long channels, long first, long H, long t, long f, long d,
            const std::int32_t *index, const float *weight, float *logits, float *attended, int threads) {
    const long wide = up_to(f, W), deep = up_to(d, 2 * W), rows = up_to(f, R), apart = 3 * H * d;
    const float scale = 1 / std::sqrt(float(d));
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        Finer finer(mixed ? t : 1, f, Taps{index, weight});
        Room room(2 * rows * deep + wide * deep + wide * deep + 2 * rows * wide + rows);
        float *query = room.at, *key = query + rows * deep, *turned = key + wide * deep, *value = turned + wide * deep;
        float *given = value + rows * deep, *share = given + rows * wide, *by = share + rows * wide;
        std::memset(room.at, 0, 4 * (given - room.at));
#pragma omp for schedule(static)
        for (long map = 0; map < b * H; map++) {
            const long image = map / H, head = map % H;
            const float *from = qkv + image * f * apart + head * d;
            for (long r = 0; r < f; r++, from += apart) {
                for (long c = 0; c < d; c++) query[r * d + c] = from[c] * scale;
                copy(key + r * deep, from + H * d, d);
                copy(value + r * deep, from + 2 * H * d, d);
            }
            transpose(key, deep, turned, wide, f, d);
            if (mixed) finer(mixed + (image * channels + first + head) * t * t, given, wide);
            else std::memset(given, 0, 4 * f * wide);
            long r = 0;
            for (; r + R <= f; r += R) add_products<R>(query + r * d, turned, d, wide, given + r * wide);
            for (; r < f; r += REST) add_products<REST>(query + r * d, turned, d, wide, given + r * wide);
            for (r = 0; r < f; r++) {
                float *own = given + r * wide, *part = share + r * wide;
                if (logits) copy(logits + (map * f + r) * f, own, f);
                for (long c = f; c < wide; c++) own[c] = -INFINITY;
                vec top = load(own), sum{};
                for (long c = W; c < wide; c += W) top = top < load(own + c) ? load(own + c) : top;
                const vec most = splat(largest_of(top));
                for (long c = 0; c < wide; c += W) {
                    const vec x = exponential(load(own + c) - most);
                    store(part + c, x);
                    sum += x;
                }
                by[r] = 1 / sum_of(sum);
            }
            float *to = attended + image * f * H * d + head * d;
            for (r = 0; r + R <= f; r += R)
                mean_values<R>(share + r * wide, wide, value, deep, f, by + r, to + r * H * d, H * d, R, d);
            for (; r < f; r += REST)
                mean_values<REST>(share + r * wide, wide, value, deep, f, by + r, to + r * H * d, H * d, f - r, d);
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
                        copy(out + (l * tokens + at + i) * reuse, turned + i * end, reuse);
                }
        }
    }
}

// Layer norm of tokens x (b, f, width) beside one block's contexts (b, t - 1, reuse), interpolated; zeros stand beside
// the class token -> (b, f, width + reuse). Behind `coarse` there is room to read another W numbers.
void norm_concatenated(const float *x, const float *coarse, long b, long f, long t, long width, long reuse,
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
            copy(to, from, width);
            const Moments of(to, wide, eps);
            long c = 0;
            for (; c + W <= wide; c += W)
                store(to + c, (load(to + c) - splat(of.mean)) * splat(of.by) * load(scale + c) + load(shift + c));
            for (; c < wide; c++) to[c] = (to[c] - of.mean) * of.by * scale[c] + shift[c];
        }
    }
}

}  // extern "C"
