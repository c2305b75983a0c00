package dev.performer.graph;

import static java.util.Comparator.comparing;
import static java.util.stream.Collectors.groupingBy;
import static java.util.stream.Collectors.toCollection;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_DeleteBuffer;
import static org.tensorflow.internal.c_api.global.tensorflow.TF_GetAllRegisteredKernels;

import com.google.protobuf.InvalidProtocolBufferException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import java.util.zip.GZIPInputStream;
import org.bytedeco.javacpp.BytePointer;
import org.tensorflow.Graph;
import org.tensorflow.GraphOperation;
import org.tensorflow.Session;
import org.tensorflow.TensorFlow;
import org.tensorflow.internal.c_api.TF_Status;
import org.tensorflow.op.Ops;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.DataType;
import org.tensorflow.proto.KernelDef;
import org.tensorflow.proto.KernelList;
import org.tensorflow.proto.NodeDef;
import org.tensorflow.proto.OpDef;
import org.tensorflow.proto.OpDef.ArgDef;

/**
 * Which device has a kernel for an op, as a TensorFlow library lists them: one for GPUs lists its
 * GPU kernels on machines without a GPU too, one for CPUs hardly any.
 */
public final class RegisteredKernels {
  public static final String CPU = "CPU";
  public static final String GPU = "GPU";
  public static final String XLA_CPU = "XLA_CPU_JIT";
  public static final String XLA_GPU = "XLA_GPU_JIT";

  /** The TensorFlow whose library for GPUs {@link #ofGpuLibrary} lists where none is loaded. */
  public static final String LISTED_VERSION = "2.18.0";

  private static final String ANY_DEVICE = "DEFAULT";
  private static final String LIST = "gpu-kernels.pb.gz";
  private static final Set<String> ARGUMENTS = // of the compiled function
      Set.of("Placeholder", "VarHandleOp", "_Arg", "_Retval");

  private static final class Xla {
    static final RegisteredKernels KERNELS = compileOnceThenLoad();
  }

  private static final class Listed {
    static final RegisteredKernels KERNELS = read();

    private static RegisteredKernels read() {
      try (var in = new GZIPInputStream(RegisteredKernels.class.getResourceAsStream(LIST))) {
        return new RegisteredKernels(KernelList.parseFrom(in));
      } catch (IOException e) {
        throw new UncheckedIOException(LIST + " cannot be read", e);
      }
    }
  }

  /** What a device has for a node. */
  public enum Support {
    /** No kernel for these types. */
    NONE,
    /** A kernel whose results are in the memory of the host, such as shapes and other sizes. */
    HOST,
    /** A kernel. */
    DEVICE
  }

  private final Map<String, List<KernelDef>> byOp;

  private RegisteredKernels(KernelList kernels) {
    byOp =
        kernels.getKernelList().stream()
            .filter(kernel -> kernel.getLabel().isEmpty()) // others are only taken by their label
            .collect(groupingBy(KernelDef::getOp));
  }

  /** What is registered now; XLA's kernels only if something was compiled before. */
  public static RegisteredKernels load() {
    return new RegisteredKernels(list());
  }

  /** As the library has them. */
  static KernelList list() {
    TensorFlow.version(); // loads the native library
    try (TF_Status status = TF_Status.newStatus()) {
      var buffer = TF_GetAllRegisteredKernels(status);
      status.throwExceptionIfNotOK();
      try {
        byte[] bytes = new byte[Math.toIntExact(buffer.length())];
        new BytePointer(buffer.data()).get(bytes);
        return KernelList.parseFrom(bytes);
      } finally {
        TF_DeleteBuffer(buffer);
      }
    } catch (InvalidProtocolBufferException e) {
      throw new IllegalStateException("TensorFlow's list of kernels cannot be read", e);
    }
  }

  /**
   * The kernels for GPUs and of XLA for GPUs: of the loaded library if it is one for GPUs, else as
   * that of {@link #LISTED_VERSION} listed them.
   */
  public static RegisteredKernels ofGpuLibrary() {
    return withXla().isForGpus() ? withXla() : Listed.KERNELS;
  }

  /** Whether it is a library for GPUs, whatever the machine has. */
  public boolean isForGpus() {
    return devices("MatMul").contains(GPU);
  }

  /** XLA's kernels included, which register when a function is compiled: the first call does so. */
  public static RegisteredKernels withXla() {
    return Xla.KERNELS;
  }

  private static RegisteredKernels compileOnceThenLoad() {
    TracedFunction.Body body = in -> Map.of("y", in.tf().math.neg(in.tf().constant(0.5f)));
    try (Graph graph = new Graph();
        Session session = new Session(graph);
        TracedFunction one = TracedFunction.trace("xla_start", body)) {
      var call = one.call(Ops.create(graph), "start", List.of(), List.of(), true);
      session.runner().fetch(call.output(0)).run().close();
    }
    return load();
  }

  /** The device types that have a kernel of an op for some type; DEFAULT means any device. */
  public Set<String> devices(String op) {
    var kernels = byOp.getOrDefault(op, List.of()).stream();
    return kernels.map(KernelDef::getDeviceType).collect(toCollection(TreeSet::new));
  }

  public boolean supports(String device, GraphOperation operation) {
    var attributes = operation.attributes();
    return find(device, operation.type(), attributes::getAttrValueProto).isPresent();
  }

  /** What a device has for a node, whose attributes are all given or have defaults. */
  public Support of(String device, NodeDef node) {
    Map<String, AttrValue> attributes = OpDefinitions.attributes(node);
    return find(device, node.getOp(), attributes::get)
        .map(kernel -> isOnHost(kernel) ? Support.HOST : Support.DEVICE)
        .orElse(Support.NONE);
  }

  private Optional<KernelDef> find(
      String device, String op, Function<String, AttrValue> attributes) {
    List<String> suitable =
        device.startsWith("XLA_") ? List.of(device) : List.of(device, ANY_DEVICE);
    return byOp.getOrDefault(op, List.of()).stream()
        .filter(kernel -> suitable.contains(kernel.getDeviceType()))
        .filter(k -> k.getConstraintList().stream().allMatch(c -> allows(c, attributes)))
        .min(comparing(kernel -> suitable.indexOf(kernel.getDeviceType())));
  }

  private static boolean allows(
      KernelDef.AttrConstraint constraint, Function<String, AttrValue> attributes) {
    AttrValue value = attributes.apply(constraint.getName());
    if (value == null) {
      return false;
    }
    List<DataType> types =
        value.hasList() ? value.getList().getTypeList() : List.of(value.getType());
    List<DataType> allowed = constraint.getAllowedValues().getList().getTypeList();
    return allowed.isEmpty() || allowed.containsAll(types);
  }

  /** Handles of variables are on the host wherever the variable is. */
  private static boolean isOnHost(KernelDef kernel) {
    OpDef op = OpDefinitions.find(kernel.getOp()).orElseThrow();
    List<String> results = tensors(op.getOutputArgList());
    List<String> all = results.isEmpty() ? tensors(op.getInputArgList()) : results;
    return !all.isEmpty() && kernel.getHostMemoryArgList().containsAll(all);
  }

  private static List<String> tensors(List<ArgDef> arguments) {
    return arguments.stream()
        .filter(argument -> argument.getType() != DataType.DT_RESOURCE)
        .map(ArgDef::getName)
        .toList();
  }

  /** Whether XLA can compile this operation for a processor, calls of functions taken on trust. */
  boolean canCompile(GraphOperation operation) {
    return isArgumentOrCall(operation.type()) || supports(XLA_CPU, operation);
  }

  /** What XLA compiles although it has no kernel for it. */
  static boolean isArgumentOrCall(String op) {
    return ARGUMENTS.contains(op) || FunctionInliner.CALLS.contains(op);
  }
}
