package dev.performer.pipeline;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.performer.AtomicFiles;
import dev.performer.PerformerException;
import dev.performer.RegularFiles;
import dev.performer.data.DataFile;
import dev.performer.data.RowSink;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * The parts of a file that is being written, in a folder beside it: a {@code manifest.json} says of
 * what, a {@code journal} has a line for each part that is whole on the disk. A process that ends
 * at any moment leaves what another one can go on from.
 */
final class BatchParts implements AutoCloseable {
  private static final JsonMapper JSON = new JsonMapper();

  /**
   * A part that is whole.
   *
   * @param read rows of the input that it comes from
   * @param faults where and why rows of these were left out
   * @param sums of its rows, as the job counts them
   */
  record Part(long read, long rows, long cropped, long bytes, List<Fault> faults, double[] sums) {}

  /** A row that was left out. */
  record Fault(String where, String why) {}

  private final Path target;
  private final Path folder;
  private final List<Part> parts = new ArrayList<>();
  private FileChannel lock;
  private boolean isOwner;
  private FileChannel journal;
  private JsonNode manifest;

  private BatchParts(Path target) {
    this.target = target;
    boolean isFile = !Files.exists(target) || Files.isRegularFile(target);
    folder =
        isFile
            ? target.resolveSibling(target.getFileName() + ".parts")
            : Path.of(
                System.getProperty("java.io.tmpdir"), "performer-" + ProcessHandle.current().pid());
  }

  /**
   * Begins, or goes on.
   *
   * @param key of what it is made: only the same goes on
   * @throws PerformerException if parts are there that may not be used
   */
  static BatchParts open(Path target, boolean resume, ObjectNode key) {
    String isFolder = "%s: is a directory; give the name of a file";
    require(!Files.isDirectory(target), isFolder, target);
    BatchParts parts = new BatchParts(target.toAbsolutePath());
    try {
      Files.createDirectories(parts.folder);
      parts.begin(resume, key);
      return parts;
    } catch (IOException e) {
      parts.close();
      throw parts.unwritable(e);
    } catch (RuntimeException e) {
      parts.close();
      throw e;
    }
  }

  private PerformerException unwritable(IOException e) {
    return DataFile.unwritable(target, e);
  }

  private void begin(boolean resume, ObjectNode key) throws IOException {
    lock = channel("lock");
    FileLock own = null;
    try {
      own = lock.tryLock();
    } catch (OverlappingFileLockException e) {
      // another thread of this process has it
    }
    isOwner = own != null;
    require(isOwner, "%s: another process is writing it", target);
    Path file = folder.resolve("manifest.json");
    manifest = Files.exists(file) ? read(file) : null;
    if (manifest != null && manifest.has("key")) {
      recover();
    }
    if (parts.isEmpty()) {
      manifest = null;
      Files.deleteIfExists(file);
      journal = channel("journal");
      journal.truncate(0);
    } else {
      String begun =
          "%s: holds %d rows of a run that did not end; resume it, or delete that folder to begin anew";
      if (!resume) {
        long rows = parts.stream().mapToLong(Part::rows).sum();
        throw new PerformerException(begun.formatted(folder, rows)).settledBy("resume");
      }
      String other = "%s: was begun with another %s; resume with the same, or delete that folder";
      for (var entry : key.properties()) {
        JsonNode before = manifest.get("key").get(entry.getKey());
        require(entry.getValue().equals(before), other, folder, entry.getKey());
      }
    }
  }

  private static JsonNode read(Path file) throws IOException {
    try {
      return JSON.readTree(RegularFiles.readAllBytes(file));
    } catch (JacksonException e) {
      return null;
    }
  }

  /** Reads what is whole, and drops what is behind it. */
  private void recover() throws IOException {
    journal = channel("journal");
    byte[] bytes = Files.readAllBytes(folder.resolve("journal"));
    int whole = 0;
    for (int from = 0, at = 0; at < bytes.length; at++) {
      if (bytes[at] == '\n') {
        Part part;
        try {
          part = JSON.readValue(bytes, from, at - from, Part.class);
        } catch (IOException e) {
          break; // it was not written to its end
        }
        Path file = place(parts.size());
        if (!Files.exists(file) || Files.size(file) != part.bytes) {
          break;
        }
        parts.add(part);
        from = at + 1;
        whole = from;
      }
    }
    journal.truncate(whole).position(whole);
  }

  private FileChannel channel(String name) throws IOException {
    return FileChannel.open(
        folder.resolve(name), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
  }

  private Path place(int part) {
    return folder.resolve("%06d.part".formatted(part));
  }

  /** What was noted when it began; null if it begins now. */
  JsonNode notes() {
    return manifest == null ? null : manifest.get("notes");
  }

  /** Notes what a run that goes on must know, before the first part. */
  void begin(ObjectNode key, JsonNode notes) {
    ObjectNode all = JSON.createObjectNode();
    all.set("key", key);
    all.set("notes", notes);
    try {
      AtomicFiles.write(folder.resolve("manifest.json"), JSON.writeValueAsBytes(all));
    } catch (IOException e) {
      throw unwritable(e);
    }
    manifest = all;
  }

  /** Those that are whole. */
  List<Part> parts() {
    return parts;
  }

  /** Writes the next part to the disk, and then a line that it is there. */
  void add(Part part, RowSink sink, List<Object[]> rows) {
    Path file = place(parts.size());
    Path beside = folder.resolve("writing");
    try {
      Files.deleteIfExists(beside);
      sink.part(beside, rows);
      AtomicFiles.force(beside);
      AtomicFiles.move(beside, file);
      long bytes = Files.size(file);
      Part whole = new Part(part.read, part.rows, part.cropped, bytes, part.faults, part.sums);
      String line = JSON.writeValueAsString(whole) + "\n";
      journal.write(ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8)));
      journal.force(true);
      parts.add(whole);
    } catch (IOException e) {
      throw unwritable(e);
    }
  }

  /** Joins all parts into the file, which is there when it is whole, and removes them. */
  void join(RowSink sink) {
    List<Path> files = new ArrayList<>();
    for (int i = 0; i < parts.size(); i++) {
      files.add(place(i));
    }
    DataFile.write(
        target,
        out -> {
          OutputStream buffered = new BufferedOutputStream(out, 1 << 16);
          sink.join(files, buffered);
          buffered.flush();
        });
    parts.clear();
  }

  /** Parts that are whole stay for another run. */
  @Override
  public void close() {
    for (FileChannel channel : new FileChannel[] {journal, lock}) {
      try {
        if (channel != null) {
          channel.close();
        }
      } catch (IOException e) {
        // Each line was forced to the disk when it was written.
      }
    }
    if (parts.isEmpty() && isOwner) {
      AtomicFiles.discard(folder);
    }
  }

  /** Where parts are. */
  Path folder() {
    return folder;
  }
}
