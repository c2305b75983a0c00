package dev.performer.checkpoint;

import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import io.jhdf.api.Attribute;
import io.jhdf.api.Dataset;
import io.jhdf.api.Group;
import io.jhdf.api.Node;
import io.jhdf.exceptions.UnsupportedHdfException;
import io.jhdf.object.datatype.DataType;
import io.jhdf.object.datatype.FixedPoint;
import io.jhdf.object.datatype.FloatingPoint;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Supplier;

/**
 * The datasets of an HDF5 file by path. Claims are checked against the size of the file before
 * anything is allocated; what Keras never writes (filters, links, compound types) is refused.
 */
final class Hdf5Tensors {
  private static final int DEEPEST = 64;
  private static final int MOST_NODES = 200_000;

  private final Group root;
  private final long fileBytes;
  private final String file;
  private final SortedMap<String, Dataset> datasets = new TreeMap<>();
  private final SortedMap<String, Group> groups = new TreeMap<>();
  private int nodes;

  /**
   * @param fileBytes size of the file; no dataset can have more
   * @param file for errors
   * @throws PerformerException if groups are damaged, too deep or too many
   */
  Hdf5Tensors(Group root, long fileBytes, String file) {
    this.root = root;
    this.fileBytes = fileBytes;
    this.file = file;
    guarded(
        file,
        () -> {
          walk(root, "", 0);
          return null;
        });
  }

  private void walk(Group group, String prefix, int depth) {
    if (depth > DEEPEST) {
      throw new PerformerException(file + ": groups are nested more than " + DEEPEST + " deep");
    }
    for (Map.Entry<String, Node> child : group.getChildren().entrySet()) {
      if (++nodes > MOST_NODES) {
        throw new PerformerException(file + ": more than " + MOST_NODES + " groups and datasets");
      }
      String path = prefix + child.getKey();
      Node node = child.getValue();
      if (node.isLink()) {
        throw new PerformerException(
            file + ", " + Excerpt.of(path) + ": links are not followed; Keras writes none");
      }
      if (node instanceof Dataset dataset) {
        datasets.put(path, dataset);
      } else if (node instanceof Group inner) {
        groups.put(path, inner);
        walk(inner, path + "/", depth + 1);
      }
    }
  }

  /** Runs jhdf, whose exceptions have no common type and which may recurse on damaged files. */
  static <T> T guarded(String where, Supplier<T> reading) {
    try {
      return reading.get();
    } catch (PerformerException e) {
      throw e;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError | InternalError e) {
      throw new PerformerException(where + " is damaged or no HDF5 file of Keras: " + reason(e), e);
    }
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

  /** Paths of the groups, without slash at the ends. */
  SortedMap<String, Group> groups() {
    return groups;
  }

  /** A group; the root for the empty path. */
  Optional<Group> group(String path) {
    return Optional.ofNullable(path.isEmpty() ? root : groups.get(path));
  }

  /** Paths of the numeric datasets with their type, shape and size. */
  SortedMap<String, WeightFile.Info> infos() {
    SortedMap<String, WeightFile.Info> infos = new TreeMap<>();
    datasets.forEach((path, dataset) -> infos.put(path, info(path, dataset)));
    return infos;
  }

  private WeightFile.Info info(String path, Dataset dataset) {
    String where = file + ", dataset " + Excerpt.of(path);
    return guarded(
        where,
        () -> {
          ElementType type = type(dataset, where);
          long[] shape = shape(dataset);
          long bytes = type.bytesOf(shape, where);
          if (bytes > fileBytes) {
            throw new PerformerException(
                where + " claims " + bytes + " bytes in a file of " + fileBytes);
          }
          if (!dataset.getFilters().isEmpty()) {
            throw new PerformerException(
                where + " is compressed, which Keras never does; h5repack -f NONE undoes it");
          }
          if (bytes > 0 && dataset.getStorageInBytes() < bytes) {
            throw new PerformerException(
                where + " holds " + dataset.getStorageInBytes() + " bytes of " + bytes);
          }
          return new WeightFile.Info(type.label(), shape, bytes);
        });
  }

  private static long[] shape(Dataset dataset) {
    return dataset.isScalar() ? new long[0] : dataset.getDimensionsAsLong();
  }

  private static ElementType type(Dataset dataset, String where) {
    DataType type = dataset.getDataType();
    if (type instanceof FloatingPoint floating) {
      return switch (floating.getSize()) {
        case 8 -> ElementType.FLOAT64;
        case 4 -> ElementType.FLOAT32;
        case 2 -> ElementType.FLOAT16;
        default -> throw unsupported(where, "floats of " + floating.getSize() + " bytes");
      };
    } else if (type instanceof FixedPoint fixed) {
      boolean signed = fixed.isSigned();
      return switch (fixed.getSize()) {
        case 8 -> signed ? ElementType.INT64 : ElementType.UINT64;
        case 4 -> signed ? ElementType.INT32 : ElementType.UINT32;
        case 2 -> signed ? ElementType.INT16 : ElementType.UINT16;
        case 1 -> signed ? ElementType.INT8 : ElementType.UINT8;
        default -> throw unsupported(where, "integers of " + fixed.getSize() + " bytes");
      };
    } else if (type != null && dataset.getJavaType() == boolean.class) {
      return ElementType.BOOL;
    }
    throw unsupported(where, "elements that are no numbers");
  }

  private static PerformerException unsupported(String where, String what) {
    return new PerformerException(where + " has " + what + ", which no layer of Keras has");
  }

  /** Reads a dataset. @throws PerformerException if there is none or its bytes are damaged */
  NpyArray read(String path) {
    String where = file + ", dataset " + Excerpt.of(path);
    Dataset dataset = datasets.get(path);
    if (dataset == null) {
      throw new PerformerException(where + ": there is none of that name");
    }
    WeightFile.Info info = info(path, dataset);
    if (info.bytes() > Integer.MAX_VALUE - 16) {
      throw new PerformerException(where + ": above the 2 GiB that one tensor may have");
    }
    return guarded(where, () -> array(dataset.getDataFlat(), info.shape(), info.type(), where));
  }

  private static NpyArray array(Object flat, long[] shape, String type, String where) {
    if (flat instanceof float[] values) {
      return NpyArray.of(values, shape);
    } else if (flat instanceof double[] values) {
      return NpyArray.of(values, shape);
    } else if (flat instanceof int[] values && type.equals("int32")) {
      return NpyArray.of(values, shape);
    } else if (flat instanceof byte[] values && type.equals("int8")) {
      return new NpyArray(NpyType.INT8, shape, values);
    } else if (flat instanceof Number number) { // scalars
      return type.startsWith("float")
          ? NpyArray.of(new float[] {number.floatValue()}, shape)
          : NpyArray.of(new long[] {number.longValue()}, shape);
    }
    int n = java.lang.reflect.Array.getLength(flat);
    long[] wide = new long[n];
    for (int i = 0; i < n; i++) {
      Object value = java.lang.reflect.Array.get(flat, i);
      if (value instanceof Boolean flag) {
        wide[i] = flag ? 1 : 0;
      } else if (value instanceof Number number) {
        wide[i] = number.longValue();
      } else {
        throw unsupported(where, "elements that are no numbers");
      }
    }
    return NpyArray.of(wide, shape);
  }

  /** Texts of an attribute: one for a scalar, none where there is no such attribute. */
  String[] texts(Group group, String attribute) {
    String where = file + ", attribute " + attribute;
    return guarded(
        where,
        () -> {
          Attribute found = group.getAttributes().get(attribute);
          if (found == null || found.isEmpty()) {
            return new String[0];
          }
          if (found.getSize() > fileBytes || found.getSizeInBytes() > fileBytes) {
            throw new PerformerException(where + " claims more than the file holds");
          }
          Object data = found.getData();
          return data instanceof String text
              ? new String[] {text}
              : data instanceof String[] all ? all : new String[0];
        });
  }
}
