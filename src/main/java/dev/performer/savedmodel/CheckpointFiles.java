package dev.performer.savedmodel;

import static org.tensorflow.internal.c_api.global.tensorflow.TF_CheckpointReaderGetVariable;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_CheckpointReaderGetVariableDataType;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_CheckpointReaderGetVariableNumDims;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_CheckpointReaderGetVariableShape;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_CheckpointReaderSize;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DataTypeSize;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeleteCheckpointReader;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_NewCheckpointReader;

import dev.performer.PerformerException;
import dev.performer.graph.NativeErrors;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TF_CheckpointReader;
import org.tensorflow.internal.c_api.TF_Status;
import org.tensorflow.ndarray.Shape;

/** The files below {@code variables/}: are they there, whole, and what is in them. */
final class CheckpointFiles {
  private static final String INDEX = "variables.index";

  private CheckpointFiles() {}

  /**
   * Shapes of the stored tensors by key.
   *
   * @throws PerformerException if the index or a data file is missing, truncated or garbage
   */
  static Map<String, Shape> read(Path model) {
    Path directory = model.resolve("variables");
    Path index = directory.resolve(INDEX);
    if (!Files.isDirectory(directory)) {
      throw new PerformerException(
          model + ": the folder variables/ is missing, so the model has no weights; copy it again");
    }
    if (!Files.isRegularFile(index)) {
      throw new PerformerException(model + ": the file variables/" + INDEX + " is missing");
    }
    List<Path> shards = shards(directory);
    TF_CheckpointReader reader = open(directory.resolve("variables"), index);
    try {
      return contents(reader, directory, shards);
    } finally {
      TF_DeleteCheckpointReader(reader);
    }
  }

  private static TF_CheckpointReader open(Path prefix, Path index) {
    TensorFlow.version(); // loads the native library
    TF_Status status = TF_Status.newStatus();
    try {
      TF_CheckpointReader reader = TF_NewCheckpointReader(prefix.toString(), status);
      status.throwExceptionIfNotOK();
      return reader;
    } catch (RuntimeException e) {
      throw new PerformerException(
          index + " is damaged or truncated: " + NativeErrors.firstLine(e), e);
    }
  }

  private static Map<String, Shape> contents(
      TF_CheckpointReader reader, Path directory, List<Path> shards) {
    Map<String, Shape> shapes = new LinkedHashMap<>();
    long bytes = 0;
    int size = TF_CheckpointReaderSize(reader);
    for (int i = 0; i < size; i++) {
      String key = TF_CheckpointReaderGetVariable(reader, i).getString();
      Shape shape = shape(reader, key);
      shapes.put(key, shape);
      bytes += shape.size() * TF_DataTypeSize(TF_CheckpointReaderGetVariableDataType(reader, key));
    }
    long found = 0;
    for (Path shard : shards) {
      found += shard.toFile().length();
    }
    if (found < bytes) {
      throw new PerformerException(
          directory
              + ": the data files have "
              + found
              + " bytes, but the index lists tensors of "
              + bytes
              + "; they are truncated or a file is missing");
    }
    return shapes;
  }

  private static Shape shape(TF_CheckpointReader reader, String key) {
    int rank = TF_CheckpointReaderGetVariableNumDims(reader, key);
    long[] dimensions = new long[Math.max(rank, 0)];
    if (rank > 0) {
      TF_Status status = TF_Status.newStatus();
      TF_CheckpointReaderGetVariableShape(reader, key, dimensions, rank, status);
      status.throwExceptionIfNotOK();
    }
    return Shape.of(dimensions);
  }

  private static List<Path> shards(Path directory) {
    List<Path> shards;
    try (Stream<Path> files = Files.list(directory)) {
      shards = files.filter(f -> f.getFileName().toString().startsWith("variables.data-")).toList();
    } catch (IOException e) {
      throw new PerformerException(directory + " cannot be read: " + e.getMessage(), e);
    }
    if (shards.isEmpty()) {
      throw new PerformerException(
          directory + ": the data file variables.data-00000-of-00001 is missing");
    }
    return shards;
  }
}
