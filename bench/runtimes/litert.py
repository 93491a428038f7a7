"""LiteRT: reads .tflite, runs on the CPU through XNNPACK. What each name means: `bench.runtimes`."""

from __future__ import annotations

import base64
import zlib
from typing import Any

TITLE = "LiteRT"
EXTRA = "litert"
DISTRIBUTIONS = ("ai-edge-litert",)
SUFFIXES = (".tflite",)
DEVICES = {"cpu": "CPU"}
CAN_REST = False
EXPLAINED = {
    r"Select TensorFlow op.*\((Flex\w+)\) failed": "its operator {0} is TensorFlow's own (flex), which this runtime "
    "lacks; convert it with TFLITE_BUILTINS alone, or give it to ONNX Runtime as .onnx",
    r"unresolved custom op: (.+?)\.? See instructions": "its operator {0} is a custom one, which this runtime lacks; "
    "convert it without custom operators, or give it to ONNX Runtime as .onnx",
}
PROGRAM = """\
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter($model, num_threads=$threads)
interpreter.allocate_tensors()
rng = np.random.default_rng(0)
for each in interpreter.get_input_details():
    interpreter.set_tensor(each["index"], rng.random(each["shape"]).astype(each["dtype"]))
times = []
for number in range(2000):
    begin = time.perf_counter()
    interpreter.invoke()
    times.append(time.perf_counter() - begin)
    if number >= 20 and sum(times) > 3:
        break
warm = sorted(times[len(times) // 3 :])
print(f"p50 {1e3 * warm[len(warm) // 2]:.3f} ms")
outputs = [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]
"""
SHIPPED = """\
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(str(HERE / "model.tflite"), num_threads=$threads)
interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], $shape)
interpreter.allocate_tensors()


def run(batch):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[$place]["index"])
"""
# y = x + x for x of shape (1, 4), and the chain of `timing.pace`, as TensorFlow's converter writes them.
PROBE = zlib.decompress(base64.b85decode(
    'c-m!A%Syvg5It#QEi}}EMY`ysNY}yE`T?P>5a<JH5f_CjB#SJPLXDyzeuKDn>C#Vd;X?ch7k-'
    '3m<GDAJP;}ss$+>sV%$eH+Fh3q0*3m)}4b)MCMXn5!Imo4miM9dsh*1G3A`PbK5hn4OB#9~cF43P(PKUD-cRE>)hjVA(%pK}lTDy!?BfA?0(Q<ti'
    '#X;yVul@C9u!^un{)KoZo`^fS|0sRViJHt&Mm5(}TwAjx&6T81g_V0Wwa@$YV!!?EHjCoL)Kx&&?sn{h{~AiWV;`kQ60bi=@<zN9JNzGy+*zx?is'
    '&QuJsVt^-X%C=)?H~<g;)Dsh#yb-'
    'gcm`iDmH8Dy1#{r)Qb0tCHa7RF{GxjF`u!4?9I-k&j)MNQB5?|S%Y{WuXgErJ|88%&FYMNmwVa^#7!F8WYd<Jo*~~aneFC}j-lU9<);4s1vOVnHv'
))  # fmt: skip
PACE = zlib.decompress(base64.b85decode(
    'c-n25e@K*h9>*VRQq#%IrZSt#Y$`J|9mk)!d)Ce_71l1^a74(}#&}ei8{O>Eg)Fhi5fMj(91*fa$PtTwEFnjP91(IXAxDH95pqO$dtK-'
    '4b=_2E*4+DX-'
    'e2)~&v)X5_4s;?^*o=M@AsL4j^o5WX{!x5rB2W(b^=bJ<HxaF$A{lLIF=>>W)?V(e<8lN)^YG<_JKoA1o*&sDwX;ff4>}j^yz_LeBA!?y`LU9y#M'
    '3auIR4VE<CS)_PKNM{SW84Cy#d@KK*5P;`qtV!(Vlt{`K)Mx}8=W@5K-30SV9r;-'
    'CY>KpTjH77ziIAOwOS;Qn2K56omaP7+Ll2`~=Ez$h32!(a#uf&tJE`oKld3wl5Tbb&bN05Q-8qM!vtKqUx)AP4|I@PQfpJCa}$Ot|L>jDb-'
    'w0*1j57z6{LAN26tT*f(dza9aFJm<Mi!Q44?kA-HBX3rkWX6HWqbJx>1dreOsn!HxFs@AuV*UdLuIZn7LTvJt@`5c9_-'
    '>Xf3i;u#;r&0k>41%B(gg`l{1l1q{8bJ$a1yQgEw1Lk+3>*X<;0TC=W1tJ10ts*i^ni1q7n}zd!6ncKu7G}U4Ge%AU=Vx{hQKW_4DNst@B<hH_rV'
    'x=2*$x<Fae%|N$?yb!4#MQ&W||%U@89X``h-mmwxm`H|8_Z8Lx71X=h&}4z7ne)9(2z;BohL)0OWyr$8b<eNIn)e!SZ)THNb~V-'
    'tC}_MjKUKnNrkV=h1+h=U05fiYb00gwPu5C9W7=s_=tfe=XI0*-'
    '(_5C;+917nNOg9M0z0GPmEY6$d#7zlwR24n>EfjEc&cWA~iGy{AsM)?|>;A^LsuL*bllbq{55TEz{@aSbK#ToAObH0xJBbCbH`EX})C+95tRi=B9'
    '?oPVRbi)?+7TspLO>}>0aVO|D(QTxA!QvJ^O}mYB8|ePg;<nIjpj%J(iN!rex1Met-'
    'GbMdZXeycdGEjOquJu#p&OxFOZQh6cam-`-7wwD7Pt7HX*W!_hVGv%Zj^2fUGskO%;KJ+TTOQd-'
    'IY_BZa>`}bgSs@wzxmgt)jb~Znwov(%nwClI~TDTly^RR?^)@_s<r$jqWzO6?9)%+%t45=x(LE?oFmUKzA$Ma=QC0?tQxDbhps`%Hqz@-9mRW-Rl'
    ';&{9kEzGu=&e|6*}tbT`or(Ve!q=jev$Zlt?;I@2AbyOC}g-FA!nkZu{>4RpV@xW37>yMb;g-R~@JHQiFW>*@a0;&#woPj{W!Q@zb}&(mE;cP-'
    's2i#tSjE!`m9Ll*Zj-5}jHbbo7c{r^t8Yv`8Hy=ie9>6Xx4P4{mWH%@mo-D0|VGnwusy2W%?(XF?*!*o~CT}k(-'
    '#eGV5CEXQte`j$6Kc(FjbOUs6TijN<0lLfS{%CQ#=q{&QM7QW&rhA2M5#42UKeV_bbeGXJ`^Xa(_c`4{x=ZQ)-'
    'r@%TlXjQVEueeX;_jhaKz9k<pDb>I?h?9wx+U*3-'
    'D`CHbo1$cVsS_5=F`oid)neo(aoc~nC`b0H}pL1E~cAH_nyW5jBYO79J;S8ZV%lYy4iHgQkm`zy4iFW(LG>s$LKDacOT$B&RSgOziHP;*WCC0!Qx'
    'iZHTM?_=svKx2k9CwYwixCVD`1*?xpj&m(JM#u+5tHGaUZ8W!`gr;I2z}f`=HSesBbYz*9WYAUFjgU<v~<49<Zl$OWUg@RztJF9zedxYxKJF9(yj'
    'fZua3-'
    'Uw!Jk?wFGz6bcheeS^zf*^Rz{r53Y37&KBeFn7n(kI#7cb^Asppbj+E4=3|<$n7H??tP**S^L3#a3RYCogc{g40mQ^YsDWFGq3Qox8p9PTXiGeq-'
    '+6TS>|Pyj=@BAC9}Tz5nyX{x7=@*ELGlF5OOcEz&hecR{*lb_wa~rMoL#6T3m_>ZF^Nu94k@bP?&oNpIJ{E|~OowbGrCuAW^?y0CQDrK@9iQMwxG'
    '9!VErHzHlNbVV<{T`jvAZx?BjZl82vc9ECfPUqzt>1x<@NvHF2Te@m?1JdcdypV1OyK(7sUMgOByDD~pSKdzN<*0Pq*|kZh^Kw<XN_M@{>AXCUZX'
    '3H{>2zN5UVFO=c1h`UUUo~jm0jg)Pgkq+a#p%>c5&%+UT#Xag<ZdNIxo+p+stlEI-QrYDQ~xloqx*P>AW10F2pV>ozBZ;={B<Kkxu93o^)mGhNRP'
    'ZS@6c&ZD2Pkoz6?MbfxS<Z@it(%W3J>v+MA7VV#%nq+7?XPdc5KC(^Ao>z{NwFD297E@;-'
    'jX>X_V(k|T^v;Ik^^KwDD60`nEr}J`Gy47a=lTPPlTDoGh{z<3v5`OFLR+;tht+&&8IU(Ijv;Ik^^KxCf6=wbOb~QRLkE9Ej^-'
    'nsTm!cVOx7@6M(&@bHldj0De>2`r=j9vemYMZWI-'
    'Qr>(wS>GAf3+33+a}c^-nsTmx_1ZuE4B+@4TJP%Tei;nDtLOotLZ9`OW$#ozBYx>GI9`_b$EPW!I$p-MshSF3+rg-mX!*-'
    'O?>K>)(4%*Pz{5>2l5b=k4mXyD43cS^vCUop#Tp%Qowuw~J`!-e1n|7Mb-'
    'g<>_j*J0zXYtbg7vtleel7Mk_X+tp}yPdf8i%n*)e&vo9$eHSX8yTdeh>N)1Kp{xL(!+d7roBfsk^BMX1S#xvh=jRUT|7ZJ}A0_@Dr}MLl'
))  # fmt: skip

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_PRECISIONS = {"float32": "f32", "float16": "f16", "int8": "i8", "uint8": "u8"}


def version() -> str:
    """The version that is imported."""
    import ai_edge_litert

    return str(ai_edge_litert.__version__)


def about() -> dict[str, Any]:
    """How it was built."""
    return {"build": f"ai-edge-litert {version()}, with XNNPACK", "providers": list(DEVICES.values())}


def load(model: str | bytes, options: dict[str, Any]) -> Session:
    """Load a model for one inference at a time; its memory is set up for the shapes of its inputs once known."""
    from ai_edge_litert.interpreter import Interpreter

    source = {"model_content": model} if isinstance(model, bytes) else {"model_path": model}
    if options.get("profile"):
        raise RuntimeError("its Python package has no profiler")
    return Session(Interpreter(num_threads=options["threads"], **source), options["provider"])


class Session:
    """A model that is loaded."""

    def __init__(self, interpreter: Any, provider: str) -> None:
        import numpy as np

        self.interpreter, self.provider = interpreter, provider
        self.places = {each["name"]: each["index"] for each in interpreter.get_input_details()}
        self.inputs = [
            (each["name"], np.dtype(each["dtype"]).name, [None if size < 0 else int(size) for size in _shape(each)])
            for each in interpreter.get_input_details()
        ]
        self.outputs = [each["name"] for each in interpreter.get_output_details()]
        self.shapes: dict[str, tuple[int, ...]] | None = None

    def calls(self, feeds: dict[str, Any]) -> tuple[Any, Any]:
        """One inference on inputs that were copied into the interpreter's memory, which keeps them."""
        self._bind(feeds)
        return self.interpreter.invoke, None

    def run(self, feeds: dict[str, Any]) -> list[Any]:
        """The outputs for these inputs."""
        self._bind(feeds)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(each["index"]) for each in self.interpreter.get_output_details()]

    def ran(self) -> dict[str, Any]:
        """The device, and the precisions of what has weights. How many threads run, LiteRT does not say."""
        precisions: dict[str, int] = {}
        nodes = 0
        for node in self.interpreter._get_ops_details() if self.shapes is not None else ():
            nodes += node["op_name"] != "DELEGATE"
            if node["op_name"] in _WEIGHTED:
                name = _name(node["operand_types"][0])
                precisions[name] = precisions.get(name, 0) + 1
        return {
            "providers": [self.provider], "nodes": {self.provider: nodes} if nodes else {}, "threads": None,
            "precision": precisions,
        }  # fmt: skip

    def _bind(self, feeds: dict[str, Any]) -> None:
        shapes = {name: tuple(value.shape) for name, value in feeds.items()}
        if shapes != self.shapes:
            for name, shape in shapes.items():
                self.interpreter.resize_tensor_input(self.places[name], list(shape))
            self.interpreter.allocate_tensors()
            self.shapes = shapes
        for name, value in feeds.items():
            self.interpreter.set_tensor(self.places[name], value)


def _shape(details: dict[str, Any]) -> Any:
    signature = details["shape_signature"]
    return signature if len(signature) else details["shape"]


def _name(kind: Any) -> str:
    import numpy as np

    name = str(np.dtype(kind).name)
    return _PRECISIONS.get(name, name)
