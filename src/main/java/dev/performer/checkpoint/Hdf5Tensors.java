package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import io.jhdf.api.Attribute;
import io.jhdf.api.Dataset;
import io.jhdf.api.Group;
import io.jhdf.api.Node;
import io.jhdf.exceptions.UnsupportedHdfException;
import io.jhdf.object.datatype.DataType;
import io.jhdf.object.datatype.FixedPoint;
import io.jhdf.object.datatype.FloatingPoint;
import java.lang.reflect.Array;
import java.util.Arrays;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;
import java.util.stream.Stream;

/**
 * The datasets of an HDF5 file by path. Claims are checked against the size of the file before
 * anything is allocated; what Keras never writes (filters, links, compound types) is refused.
 */
final class Hdf5Tensors {
  private static final int DEEPEST = 64;
  private static final int MOST_NODES = 200_000;

  /** Paths of the groups, without slash at the ends. */
  final SortedMap<String, Group> groups = new TreeMap<>();

  /** Paths of the numeric datasets with their type, shape and size. */
  final SortedMap<String, WeightFile.Info> infos = new TreeMap<>();

  private final long fileBytes;
  private final String file;
  private final SortedMap<String, Dataset> datasets = new TreeMap<>();
  private int nodes;

  /** No dataset can have more than {@code fileBytes}; {@code file} is for errors. */
  Hdf5Tensors(Group root, long fileBytes, String file) {
    this.fileBytes = fileBytes;
    this.file = file;
    guarded(file, () -> walk(root, "", 0));
    for (String path : datasets.keySet()) {
      infos.put(path, guarded(where(path), () -> info(datasets.get(path), where(path))));
    }
  }

  private Void walk(Group group, String prefix, int depth) {
    require(depth <= DEEPEST, "%s: groups are nested more than %s deep", file, DEEPEST);
    group.getChildren().forEach((name, node) -> add(node, prefix + name, depth));
    return null;
  }

  private void add(Node node, String path, int depth) {
    require(++nodes <= MOST_NODES, "%s: more than %s groups and datasets", file, MOST_NODES);
    String links = "%s, %s: links are not followed; Keras writes none";
    require(!node.isLink(), links, file, Excerpt.of(path));
    if (node instanceof Dataset dataset) {
      datasets.put(path, dataset);
    } else if (node instanceof Group inner) {
      groups.put(path, inner);
      walk(inner, path + "/", depth + 1);
    }
  }

  /** Runs jhdf, whose exceptions have no common type and which may recurse on damaged files. */
  static <T> T guarded(String where, Supplier<T> reading) {
    try {
      return reading.get();
    } catch (PerformerException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError | InternalError e) {
      String opaque =
          where + " holds bfloat16 as Keras keeps it, which is not read; save it in float32";
      if (isOpaque(e)) {
        throw new PerformerException(opaque, e);
      }
      throw new PerformerException(where + " is damaged or no HDF5 file of Keras: " + reason(e), e);
    }
  }

  /** Whether jhdf failed at a type without a tag, which h5py gives to what is no type of HDF5. */
  private static boolean isOpaque(Throwable e) {
    return Stream.iterate(e, Objects::nonNull, Throwable::getCause)
        .flatMap(cause -> Arrays.stream(cause.getStackTrace()))
        .anyMatch(frame -> frame.getClassName().endsWith(".OpaqueDataType"));
  }

  private static String reason(Throwable e) {
    if (e instanceof UnsupportedHdfException && e.getMessage() != null) {
      return Excerpt.of(e.getMessage());
    }
    return e instanceof StackOverflowError
        ? "its structure has no end"
        : e instanceof OutOfMemoryError
            ? "it claims more than fits into memory"
            : "an address or a size in its structure is wrong";
  }

  private String where(String path) {
    return file + ", dataset " + Excerpt.of(path);
  }

  private WeightFile.Info info(Dataset dataset, String where) {
    long[] shape = dataset.isScalar() ? new long[0] : dataset.getDimensionsAsLong();
    WeightFile.Info info = type(dataset, where).info(shape, where);
    long bytes = info.bytes();
    String claims = "%s claims %s bytes in a file of %s";
    require(bytes <= fileBytes, claims, where, bytes, fileBytes);
    String compressed = "%s is compressed; h5repack -f NONE undoes it";
    require(dataset.getFilters().isEmpty(), compressed, where);
    long stored = bytes == 0 ? 0 : dataset.getStorageInBytes();
    require(stored >= bytes, "%s holds %s bytes of %s", where, stored, bytes);
    return info;
  }

  private static ElementType type(Dataset dataset, String where) {
    DataType type = dataset.getDataType();
    String kind = type instanceof FloatingPoint ? "float" : "";
    if (type instanceof FixedPoint fixed) {
      kind = fixed.isSigned() ? "int" : "uint";
    } else if (kind.isEmpty() && type != null && dataset.getJavaType() == boolean.class) {
      return ElementType.BOOL;
    }
    String label = kind.isEmpty() ? "elements that are no numbers" : kind + 8 * type.getSize();
    ElementType known = ElementType.of(label).orElse(null);
    require(known != null, "%s has %s, which no layer of Keras has", where, label);
    return known;
  }

  /** Reads a dataset. @throws PerformerException if its bytes are damaged */
  NpyArray read(String path, WeightFile.Info info) {
    return guarded(where(path), () -> array(datasets.get(path).getDataFlat(), info.shape()));
  }

  private static NpyArray array(Object flat, long[] shape) {
    if (flat instanceof float[] values) {
      return NpyArray.of(values, shape);
    } else if (flat instanceof double[] values) {
      return NpyArray.of(values, shape);
    } else if (flat instanceof Float || flat instanceof Double) { // scalars
      return NpyArray.of(new double[] {((Number) flat).doubleValue()}, shape);
    }
    Object all = flat.getClass().isArray() ? flat : new Object[] {flat};
    long[] wide = new long[Array.getLength(all)];
    for (int i = 0; i < wide.length; i++) {
      Object value = Array.get(all, i);
      wide[i] = value instanceof Boolean flag ? (flag ? 1 : 0) : ((Number) value).longValue();
    }
    return NpyArray.of(wide, shape);
  }

  /** Texts of an attribute: one for a scalar, none where there is no such group or attribute. */
  String[] texts(Group group, String attribute) {
    String where = file + ", attribute " + attribute;
    return guarded(
        where,
        () -> {
          Attribute found = group == null ? null : group.getAttributes().get(attribute);
          if (found == null || found.isEmpty()) {
            return new String[0];
          }
          boolean fits = found.getSize() <= fileBytes && found.getSizeInBytes() <= fileBytes;
          require(fits, "%s claims more than the file holds", where);
          Object data = found.getData();
          return data instanceof String text
              ? new String[] {text}
              : data instanceof String[] all ? all : new String[0];
        });
  }
}
