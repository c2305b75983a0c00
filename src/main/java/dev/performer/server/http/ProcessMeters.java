package dev.performer.server.http;

import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Figures of the JVM and of the process, whose tensors lie outside of the heap. */
final class ProcessMeters {
  private static final Path STATUS = Path.of("/proc/self/status");

  private ProcessMeters() {}

  static void register(MeterRegistry meters) {
    new JvmMemoryMetrics().bindTo(meters);
    new JvmThreadMetrics().bindTo(meters);
    new ProcessorMetrics().bindTo(meters);
    new FileDescriptorMetrics().bindTo(meters);
    new UptimeMetrics().bindTo(meters);
    if (Files.isReadable(STATUS)) {
      Gauge.builder("process.resident.memory", ProcessMeters::residentBytes)
          .baseUnit("bytes")
          .description("memory of the process, tensors included")
          .register(meters);
    }
  }

  private static double residentBytes() {
    try {
      for (String line : Files.readAllLines(STATUS)) {
        if (line.startsWith("VmRSS:")) {
          return 1024 * Double.parseDouble(line.replaceAll("\\D", ""));
        }
      }
    } catch (IOException e) {
      // Then it is not known.
    }
    return Double.NaN;
  }
}
