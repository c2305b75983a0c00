package dev.performer.training.run;

import dev.performer.data.TfRecordFile;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import org.tensorflow.proto.Event;
import org.tensorflow.proto.SessionLog;
import org.tensorflow.proto.Summary;

/**
 * A file of scalars that TensorBoard reads: {@code Event} protos as TFRecords. Each part of a
 * resumed run has a file of its own, which begins by taking back what an earlier one wrote of the
 * steps that are done again.
 */
final class EventFile implements AutoCloseable {
  private final Path file;
  private final OutputStream out;

  /** Creates a file; what earlier files have after a step is taken back. */
  EventFile(Path directory, long step) {
    long now = System.currentTimeMillis();
    String name = "events.out.tfevents.%010d.performer.%d".formatted(now / 1000, now % 1000);
    while (Files.exists(directory.resolve(name))) {
      name += "x";
    }
    file = directory.resolve(name);
    try {
      out = Files.newOutputStream(file, StandardOpenOption.CREATE_NEW);
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
    append(Event.newBuilder().setFileVersion("brain.Event:2"));
    if (step >= 0) {
      var start = SessionLog.newBuilder().setStatus(SessionLog.SessionStatus.START);
      append(Event.newBuilder().setStep(step + 1).setSessionLog(start));
    }
  }

  void scalars(long step, String group, Map<String, ? extends Number> values) {
    Summary.Builder summary = Summary.newBuilder();
    values.forEach(
        (name, value) ->
            summary
                .addValueBuilder()
                .setTag(group + "/" + name)
                .setSimpleValue(value.floatValue()));
    append(Event.newBuilder().setStep(step).setSummary(summary));
  }

  @Override
  public void close() {
    try {
      out.close();
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
  }

  private void append(Event.Builder event) {
    byte[] data = event.setWallTime(System.currentTimeMillis() / 1000.0).build().toByteArray();
    try {
      out.write(TfRecordFile.framed(data));
    } catch (IOException e) {
      throw RunDirectory.unwritable(file, e);
    }
  }
}
