package dev.performer.study;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * Times of one thing in all rounds.
 *
 * @param minMs the fastest run in milliseconds
 * @param medianMs half of the runs took no longer
 * @param cpuMs of all threads of the process in a run, the median of the rounds
 * @param faults pages that the process touched for the first time in a run, the median of the
 *     rounds
 * @param peakMb the most memory above the idle process, in MB (10^6 bytes), after its first runs
 */
record Timing(double minMs, double medianMs, double cpuMs, double faults, double peakMb, int runs) {
  /** By name. */
  static Map<String, Timing> of(Laps.Opened opened, List<Map<String, Laps.Lap>> rounds) {
    Map<String, Timing> result = new LinkedHashMap<>();
    opened
        .peakMb()
        .forEach(
            (name, peak) -> {
              var laps = rounds.stream().map(round -> round.get(name)).toList();
              result.put(name, of(laps, peak));
            });
    return result;
  }

  private static Timing of(List<Laps.Lap> laps, double peakMb) {
    double[] ms = laps.stream().flatMap(lap -> lap.ms().stream()).mapToDouble(x -> x).toArray();
    Arrays.sort(ms);
    double cpu = median(laps, Laps.Lap::cpuMs);
    double faults = median(laps, Laps.Lap::faults);
    return new Timing(ms[0], ms[ms.length / 2], cpu, faults, peakMb, ms.length);
  }

  private static double median(List<Laps.Lap> laps, ToDoubleFunction<Laps.Lap> value) {
    return laps.stream().mapToDouble(value).sorted().toArray()[laps.size() / 2];
  }
}
