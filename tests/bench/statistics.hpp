// Medians and percentiles of a few samples.

#pragma once

#include <vector>

namespace headgate::bench {

// The value below which `share` (0 to 1) of the samples lie, the nearest one of them; 0 of none.
double percentile(std::vector<double> samples, double share);

// Of an even number of samples the mean of the middle two; 0 of none.
double median(std::vector<double> samples);

}  // namespace headgate::bench
